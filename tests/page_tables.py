"""The tables of README.md and docs/, made from records, by their names.

Each function takes records and returns tables of `peernets_tf.records.tables`.
"""

import itertools
import pathlib
import re

import seed_tables
import speed_tables

from peernets_tf import records
from peernets_tf.evaluation.suites import SUITES
from peernets_tf.records import (
    attack_tables,
    comparison_table,
    paper,
    suite_tables,
    tables,
    training_tables,
    trials_tables,
)
from peernets_tf.records.tables import Table, duration_text
from peernets_tf.training import published as published_models

RESULTS = pathlib.Path(__file__).resolve().parent.parent / "results"
# What the README shows: an attack, its backward pass and its strength.
HEADLINE_ROWS = (
    ("random noise, 8/255", "noise", "exact", ("epsilon", 8 / 255)),
    ("PGD, 8/255, exact gradient", "pgd", "exact", ("epsilon", 8 / 255)),
    ("PGD, 8/255, identity backward", "pgd", "identity", ("epsilon", 8 / 255)),
    (
        "one perturbation for all images, ρ = 0.10",
        "universal.gradient",
        "identity",
        ("rho", 0.10),
    ),
)
HEADLINE_MODELS = ("resnet32", "pr_resnet32")


def headline(found):
    """Accuracies of a network and its PeerNet, a row for each attack."""
    pgd = [
        _case(found, model, *HEADLINE_ROWS[1][1:]) for model in HEADLINE_MODELS
    ]
    rows = [("none", *(_rate(case, "correct") for case in pgd))]
    for name, *attack in HEADLINE_ROWS:
        cases = (_case(found, model, *attack) for model in HEADLINE_MODELS)
        rows.append((name, *map(_rate, cases)))
    names = map(records.network_name, HEADLINE_MODELS)
    return [Table("", ("attack", *names), tuple(rows))]


def _case(found, model, attack, backward, strength):
    """Returns the one case of an attack on a model, or None.

    A network without peers has only its exact gradient. A universal attack on
    it has no other row.
    """
    field, value = strength
    cases = [
        case
        for record in found
        if (record.model, record.attack) == (model, attack)
        and (
            record.backward == backward
            or (record.is_universal and record.threat_model is None)
        )
        for case in record.cases
        if getattr(case, field) == value
    ]
    if len(cases) > 1:
        raise ValueError(f"{len(cases)} cases of {attack}, {backward}, {model}")
    return cases[0] if cases else None


def _rate(case, count="adversarial_correct"):
    if case is None:
        return "-"
    return tables.rate_text(getattr(case, count), case.total)


def attacks(found):
    """Attacks, without the column `backward` if it is empty beside `rej.`.

    A page has no room for both.
    """
    return [_narrowed(table) for table in attack_tables.attack_tables(found)]


def _narrowed(table):
    place = table.columns.index("backward")
    if "rej." not in table.columns or any(r[place] != "-" for r in table.rows):
        return table
    columns, *rows = (
        cells[:place] + cells[place + 1 :]
        for cells in (table.columns, *table.rows)
    )
    return Table(table.title, columns, tuple(rows))


def differences(found):
    """How much networks differ in accuracy after an attack, in pairs.

    Of a comparison it has the networks that were trained on adversarial images.
    """
    named = []
    for record in found:
        if isinstance(record, records.ComparisonRecord):
            named += _of_comparison(record)
        else:
            named += [(record.checkpoint, case) for case in record.cases]
    cases = dict(named)
    if len(cases) < len(named):
        raise ValueError("two attacks on one network")
    if len({record.dataset for record in found}) > 1:
        raise ValueError("records of different images")
    if len({case.attack for case in cases.values()}) > 1:
        raise ValueError("records of different attacks")
    rows = []
    for pair in itertools.combinations(cases, 2):
        difference, margin = records.statistics.paired_difference(
            *(
                records.per_image.from_hexadecimal(case.right, case.total)
                for case in (cases[name] for name in pair)
            )
        )
        points = (f"{100 * difference:+.1f}", f"{100 * margin:.1f}")
        rows.append((*pair, *points))
    columns = ("network", "other network", "difference", "margin")
    return [Table("", columns, tuple(rows))]


def _of_comparison(record):
    """Returns names and cases of adversarially trained networks.

    PeerNets have those of the last backward pass, which is BPDA.
    """
    cases = []
    for row in record.rows:
        if row.trained_on != "images":
            name = row.checkpoint
            if row.threat_model:
                graphs = row.threat_model.defended
                name += f", {graphs.num_peers} x {graphs.num_graphs}"
            cases.append((name, row.cases[-1].case))
    return cases


def transfers(found):
    """Accuracies of PeerNets after one attack, by what the images fooled."""
    models = sorted({record.checkpoint for record in found})
    rates = {}
    for record in found:
        maker = record.transfer_from or f"itself, {record.backward}"
        (case,) = record.cases
        rates.setdefault(maker, {})[record.checkpoint] = _rate(case)
    rows = tuple(
        (maker, *(rates[maker].get(model, "-") for model in models))
        for maker in rates
    )
    return [Table("", ("images made on", *models), rows)]


def universal(found):
    """Universal perturbations of CIFAR-10, a row for each record (Table 4)."""
    columns = (
        "network",
        "perturbation",
        "ρ of",
        "rej. as",
        "accuracy in %",
        "paper",
    )
    order = {name: i for i, (_, name, *_) in enumerate(paper.UNIVERSAL)}
    rows = [
        (
            records.network_name(record.model),
            _perturbation(record),
            record.cases[0].rho_of,
            record.rejected_as or "-",
            _percentages(c.adversarial_correct / c.total for c in record.cases),
            _percentages(
                rate
                for rate, _ in attack_tables.published_universal(
                    record
                ).values()
            ),
        )
        for record in sorted(found, key=lambda r: order[r.model])
    ]
    return [Table("", columns, tuple(rows))]


def _perturbation(record):
    """Says how a perturbation was made, and for which other network."""
    maker = record.attack.removeprefix("universal.")
    if maker != "file":
        is_exact = record.backward == "exact"
        return maker if is_exact else f"{maker}, {record.backward}"
    # FixedPerturbation(source='results/NAME/perturbation_rho_0.04.npy, ...')
    name = re.search(r"results/(\w+)/", record.cases[0].attack)[1]
    source = records.read(str(RESULTS / f"{name}.json"))
    return f"{_perturbation(source)}, {records.network_name(source.model)}"


def _percentages(rates):
    return " / ".join(f"{100 * rate:.1f}" for rate in rates)


def suites(found):
    """Suites of attacks, each with its checklist."""
    return [t for r in found for t in suite_tables.suite_tables(r)]


def verdicts(found):
    """Suites of attacks, a row for each record."""
    rows = []
    for record in found:
        result = record.result
        measured = [c for c in result.checks if c.verdict != "not measured"]
        rows.append(
            (
                records.checkpoint_name(
                    record.model, record.dataset, record.checkpoint
                ),
                tables.graphs_cell(record.threat_model),
                ", ".join(filter(None, (result.title, result.rejected_as))),
                f"{result.total:,}",
                tables.rate_text(result.correct, result.total),
                tables.rate_text(result.robust, result.total),
                f"{len(result.failed)} of {len(measured)}",
            )
        )
    columns = (
        "network",
        "graphs",
        "suite",
        "images",
        "no attack",
        "worst case",
        "failed",
    )
    return [Table("", columns, tuple(rows))]


def training(found):
    """Test accuracies of trained models."""
    return [training_tables.training_table(found)]


def presets(found):
    """Published models; the records are those of their trainings, by name."""
    rows = []
    for preset, record in zip(published_models.presets(), found, strict=True):
        if record != records.read(str(RESULTS / f"train_{preset.name}.json")):
            raise ValueError(f"expected train_{preset.name} among the records")
        # The page says so of all.
        if tables.size_text(record.graphs) not in ("-", "50 x 10"):
            raise ValueError(f"other graphs of {preset.name}: {record.graphs}")
        suite = preset.suite and preset.suite.result
        rows.append(
            (
                preset.name,
                record.epochs,
                *training_tables.training_row(record)[-2:],
                tables.rate_text(suite.robust, suite.total) if suite else "-",
                suite.suite if suite else "-",
            )
        )
    columns = (
        "name",
        "epochs",
        "accuracy",
        "paper",
        "attacked",
        "suite",
    )
    return [Table("", columns, tuple(rows))]


def comparison(found):
    """Table 6 of the paper."""
    return [comparison_table.comparison_table(record) for record in found]


def ablations(found):
    """Accuracy without and with random noise, a row for each ablation."""
    first = found[0].cases
    columns = (
        "layers",
        "graphs",
        "no noise",
        *(f"ρ {case.rho:.2f}" for case in first),
        f"changed at {first[-1].rho:.2f}",
    )
    rows = []
    for record in sorted(found, key=_ablation_order):
        if [case.rho for case in record.cases] != [case.rho for case in first]:
            raise ValueError("ablations must have the same values of rho")
        graphs = record.threat_model.defended
        last = record.cases[-1]
        rows.append(
            (
                _ablation_name(record),
                tables.size_text(graphs),
                _rate(record.cases[0], "correct"),
                *map(_rate, record.cases),
                tables.rate_text(last.changed, last.total),
            )
        )
    return [Table("", columns, tuple(rows))]


def _ablation_name(record):
    if record.ablation:
        return record.ablation
    if record.num_neighbors:
        return f"K = {record.num_neighbors}"
    return "as trained"


def _ablation_order(record):
    """As trained, then other graphs, other K, and other computations."""
    graphs = record.threat_model.defended
    return (
        record.ablation or "",
        record.num_neighbors or 0,
        graphs.num_graphs,
        graphs.num_peers,
    )


# How a table calls the `Traits` that a step needs.
_NEEDS = {
    "": "-",
    "has_bpda": "BPDA",
    "has_peers": "peers",
    "has_guides": "peers that are drawn",
    "guesses_graphs": "drawn or fresh graphs",
    "is_random": "random outputs",
    "has_transfer_model": "`--transfer_from`",
}


def steps(found):
    """The attacks of the suite of a record, as the package has them today."""
    (record,) = found
    rows = tuple(
        (
            step.name,
            step.backward or "-",
            ", ".join(_settings(step)) or "-",
            "left" if step.only_survivors else "all",
            _NEEDS[step.needs],
        )
        for step in SUITES[record.result.suite]
    )
    return [
        Table("", ("step", "backward", "settings", "images", "needs"), rows)
    ]


def _settings(step):
    """Yields the numbers of a step, and its loss if it is not the usual one."""
    for name, value in step.options.items():
        usual = (name, value) in (("restarts", 1), ("loss", "cross_entropy"))
        if name == "delta":
            yield f"delta={255 * value:g}/255"
        elif not usual:
            yield f"{name}={value}"


def trials(found):
    """Trials of the commands, and those that failed."""
    return [table for r in found for table in trials_tables.trials_tables(r)]


def trials_summary(found):
    """Trials of the commands, a row for each kind of fault."""
    (record,) = found
    counts = {}
    for group in record.groups:
        # A group is named "kills of peernets_tf.train".
        kind = group.name.split(" of ")[0].split(" for ")[0]
        tried, passed = counts.get(kind, (0, 0))
        counts[kind] = tried + group.tried, passed + group.passed
    rows = tuple(
        (kind, f"{tried:,}", f"{passed:,}", f"{tried - passed:,}")
        for kind, (tried, passed) in counts.items()
    )
    return [Table("", trials_tables.TRIALS_COLUMNS, rows)]


def runs(found):
    """How long runs took."""
    rows = []
    for record in found:
        what = record.kind
        if isinstance(record, records.TrainingRecord):
            name = records.network_name(record.model)
            what = f"{name}, {record.epochs} epochs"
        rows.append((what, duration_text(record.provenance.seconds)))
    return [Table("", ("run", "time"), tuple(rows))]


TABLES = {
    "ablations": ablations,
    "attacks": attacks,
    "comparison": comparison,
    "differences": differences,
    "headline": headline,
    "precisions": seed_tables.precisions,
    "presets": presets,
    "runs": runs,
    "searches": speed_tables.searches,
    "seeds": seed_tables.seeds,
    "speed": speed_tables.speed,
    "steps": steps,
    "suites": suites,
    "training": training,
    "transfers": transfers,
    "trials": trials,
    "trials_summary": trials_summary,
    "universal": universal,
    "verdicts": verdicts,
}
# Those that show all that a record holds.
WHOLE = (
    "ablations",
    "attacks",
    "comparison",
    "precisions",
    "presets",
    "seeds",
    "speed",
    "suites",
    "training",
    "trials",
)
