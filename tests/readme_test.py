"""Every figure of README.md and docs/ comes from a record or from the paper.

And the rows of all records in results/ stand there.
"""

import collections
import dataclasses
import pathlib
import re

import pytest

from peernets_tf import records
from peernets_tf.records import paper, tables

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [path.read_text(encoding="utf-8") for path in PAGES]
RECORDS = [
    records.read(str(path))
    for path in sorted((ROOT / "results").glob("*.json"))
]
NAMES = {
    "lenet5": "LeNet-5",
    "pr_lenet5": "PR-LeNet-5",
    "resnet32": "ResNet-32",
    "pr_resnet32": "PR-ResNet-32",
}
TITLE = re.compile(r"\*\*(.+)\*\*")
# A confidence level, as in "a 95 % interval", is not a result.
PERCENT = re.compile(r"\d+(?:\.\d+)?(?=\s?%(?! interval))")


def of_kind(kind):
    return [record for record in RECORDS if isinstance(record, kind)]


def benchmark(name):
    (found,) = [r for r in of_kind(records.BenchmarkRecord) if r.name == name]
    return found.cases


def cells(line):
    return tuple(cell.strip() for cell in line.split("|")[1:-1])


def tables_of_records():
    """Returns all tables that the pages must hold."""
    trainings = of_kind(records.TrainingRecord)
    found = [tables.training_table(trainings), *tables.curves(trainings)]
    found += tables.attack_tables(of_kind(records.AttackRecord))
    found += map(tables.comparison_table, of_kind(records.ComparisonRecord))
    return found


def rows_of_records():
    """Returns all rows that the pages must hold, as tuples of cells.

    A table's title stands in front of each of its rows, so that a row in the
    wrong table is a false one.
    """
    rows = [
        ((table.title,) if table.title else ()) + row
        for table in tables_of_records()
        for row in table.rows
    ]
    return [*rows, *speed_rows()]


def speed_rows():
    for case in benchmark("nearest_neighbors"):
        size = (case["num_queries"], case["num_keys"], case["num_channels"])
        seconds = case["median_seconds"]["nearest_neighbors"]
        ratios = case["ratio_to_whole_product"]
        yield (
            " x ".join(map(str, size)),
            f"{1000 * seconds:.0f} ms",
            *(
                f"{ratios[name]:.2f}"
                for name in ("nearest_neighbors", "faiss", "top_k")
            ),
            f"{case['memory_mib']['search']:.0f} MiB",
        )
    for case in benchmark("attention"):
        seconds = case["median_seconds"]
        yield (
            case["pass"],
            f"{1000 * seconds['plain']:.1f} ms",
            f"{1000 * seconds['compiled']:.1f} ms",
            f"{case['ratio_to_compiled']['plain']:.2f}",
        )
    for case in benchmark("training_step"):
        name = case["peernet"]
        yield (
            f"{name}, batch of {case['batch_size']}",
            f"{case['median_seconds'][name]:.3f} s",
            f"{case['ratio_to_baseline'][name]:.2f}",
        )
    for case in benchmark("adversarial_training"):
        for name, seconds in case["median_seconds"].items():
            yield (
                name,
                f"{case['steps_a_round'] * case['batch_size'] / seconds:.1f}",
                f"{case['ratio_to_ours'][name]:.2f}",
            )
    for case in benchmark("attacks"):
        for name, seconds in case["median_seconds"].items():
            yield (
                case["attack"],
                name,
                f"{case['images'] / seconds:.1f}",
                f"{case['ratio_to_ours'][name]:.2f}",
                f"{case['fooling_rate'][name]:.1%}",
            )


def percentages():
    """Returns the percentages that prose may name, as sets by model.

    Those of the benchmarks have the model `None`.
    """
    found = collections.defaultdict(set)

    def add(model, *texts):
        found[model].update(p for text in texts for p in PERCENT.findall(text))

    for record in of_kind(records.TrainingRecord):
        add(record.model, tables.training_table([record]).markdown())
        add(record.model, tables.markdown(tables.curves([record])))
    for record in of_kind(records.AttackRecord):
        add(record.model, tables.markdown(tables.attack_tables([record])))
    for record in of_kind(records.ComparisonRecord):
        for row in record.rows:
            part = dataclasses.replace(record, rows=(row,))
            add(row.network, tables.comparison_table(part).markdown())
    for row in speed_rows():
        add(None, *row)
    for figures in (paper.ACCURACY, paper.UNIVERSAL):
        for (_, model, *_), value in figures.items():
            rates = [value] if isinstance(value, float) else value.values()
            add(model, *percent_texts(rates))
    for (model, _), (rate, _, _) in paper.SAMPLE_SPECIFIC.items():
        add(model, *percent_texts([rate]))
    for key, rates in paper.ADVERSARIAL_TRAINING.items():
        add(key.removesuffix("_a").removesuffix("_b"), *percent_texts(rates))
    return found


def percent_texts(rates):
    for rate in rates:
        pair = rate if isinstance(rate, tuple) else (rate,)
        for value in pair:
            yield from (f"{value:.1%}", f"{value:.2%}")


# A dict, because its order is kept and looking up a row is fast.
ROWS = dict.fromkeys(rows_of_records())
PERCENTAGES = percentages()


def problems(texts):
    """Returns what is wrong with the figures of some pages, a line each."""
    blocks = [block for text in texts for block in blocks_of(text)]
    found = [
        problem for block in blocks for problem in false_percentages(block)
    ]
    seen = set()
    for block in blocks:
        rows = table_rows(block)
        seen.update(rows)
        if is_of_records(rows):
            found += [f"false row {row}" for row in rows if row not in ROWS]
    return found + [f"missing row {row}" for row in ROWS if row not in seen]


def blocks_of(text):
    """Returns the paragraphs of a page, and its tables with their titles."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    blocks = re.split(r"\n\s*\n", text)
    titled = zip(["", *blocks], blocks, strict=False)
    return [
        f"{title}\n{block}" if is_title_of(title, block) else block
        for title, block in titled
    ]


def is_title_of(title, block):
    return bool(TITLE.fullmatch(title)) and block.startswith("|")


def table_rows(block):
    """Returns a table's rows, each with the table's title in front."""
    first, *_ = block.split("\n", 1)
    title = TITLE.fullmatch(first)
    lines = [line for line in block.splitlines() if line[:1] == "|"]
    return [((title[1],) if title else ()) + cells(line) for line in lines[2:]]


def is_of_records(rows):
    """Returns whether a table shows records: then all its rows must."""
    return not ROWS.keys().isdisjoint(rows)


def false_percentages(block):
    """Yields the percentages of a paragraph that have no source.

    The sources are those of the models that it names, or all if it names none.
    """
    if is_of_records(table_rows(block)):
        return
    named = [
        model
        for model, name in NAMES.items()
        if re.search(rf"(?<!PR-){re.escape(name)}\b", block)
    ]
    models = [None, *named] if named else list(PERCENTAGES)
    allowed = set().union(*(PERCENTAGES[model] for model in models))
    for percentage in PERCENT.findall(block):
        if percentage not in allowed:
            yield f"{percentage} % has no source: {block[:60]!r}"


def test_figures_come_from_records_and_the_paper():
    assert problems(TEXTS) == []


def test_tables_stand_as_the_report_prints_them():
    for table in tables_of_records():
        assert any(table.markdown() in text for text in TEXTS), table.title


def test_records_come_from_committed_code():
    for record in RECORDS:
        assert not record.provenance.commit.endswith("+")


def plant(old, new):
    """Returns the problems after a change of the only page that has a text."""
    changed = [text.replace(old, new) for text in TEXTS]
    assert changed != TEXTS
    return problems(changed)


def line_of(row):
    """Returns the first line of the pages that holds a row's cells."""
    lines = [line for text in TEXTS for line in text.splitlines()]
    return next(
        line
        for line in lines
        if line[:1] == "|" and cells(line) in (row, row[1:])
    )


def kinds_of_rows():
    """Returns one row of each table that the records make."""
    return {len(row): row for row in ROWS}.values()


@pytest.mark.parametrize("row", kinds_of_rows(), ids=lambda row: row[0])
def test_a_false_row_is_seen(row):
    line = line_of(row)
    digit = re.search(r"\d(?=\D*$)", line)
    false = line[: digit.start()] + str((int(digit[0]) + 1) % 10)
    false += line[digit.end() :]
    found = plant(line, f"{line}\n{false}")
    assert any(p.startswith("false row") for p in found)
    assert f"missing row {row}" in plant(line, false)
    assert f"missing row {row}" in plant(line + "\n", "")


def test_a_false_percentage_in_prose_is_seen():
    (accuracy,) = [
        record.cases[0].adversarial_correct / record.cases[0].total
        for record in of_kind(records.AttackRecord)
        if record.cases[0].attack.startswith("PGD(epsilon=0.03137254901960784")
        and (record.model, record.backward) == ("pr_resnet32", "exact")
    ]
    true = f"{accuracy:.1%}"
    sentence = "PGD leaves PR-ResNet-32 {} accuracy."
    assert problems([*TEXTS, sentence.format(true)]) == []
    assert problems([*TEXTS, sentence.format(true.replace("%", " %"))]) == []
    for false in (f"{accuracy + 0.001:.1%}", "64 %", "65 %", "46.6 %"):
        (problem,) = problems([*TEXTS, sentence.format(false)])
        assert "has no source" in problem


def test_a_percentage_of_another_model_is_seen():
    assert PERCENTAGES["lenet5"] - PERCENTAGES["resnet32"]
    (problem,) = problems([*TEXTS, "The ResNet-32 has 98.89 % accuracy."])
    assert "98.89 % has no source" in problem


def test_most_false_percentages_of_the_pages_would_be_seen():
    """Some false ones are true of another attack on the same model."""
    seen = []
    for block in (block for text in TEXTS for block in blocks_of(text)):
        if is_of_records(table_rows(block)):
            continue
        for match in PERCENT.finditer(block):
            false = f"{float(match[0]) + 0.1:.1f}"
            planted = block[: match.start()] + false + block[match.end() :]
            seen.append(any(false_percentages(planted)))
    assert sum(seen) > 0.8 * len(seen), f"{sum(seen)} of {len(seen)}"


def test_links_lead_to_files_and_headings():
    for path, text in zip(PAGES, TEXTS, strict=True):
        headings = {
            "#" + line.lstrip("# ").lower().replace(" ", "-").replace(",", "")
            for line in text.splitlines()
            if line.startswith("#")
        }
        for target in text.split("](")[1:]:
            target = target.split(")")[0]
            if target.startswith("#"):
                assert target in headings
            elif "://" not in target:
                assert (path.parent / target.split("#")[0]).exists(), target


def headline():
    """Returns the cells of the README's first table, from the records."""
    found = {
        (record.model, record.attack, record.backward): record.cases[0]
        for record in of_kind(records.AttackRecord)
        if (record.cases[0].epsilon, record.cases[0].total) == (8 / 255, 1000)
    }

    def accuracies(attack, backward="exact", count="adversarial_correct"):
        cases = (
            found.get((model, attack, backward))
            for model in ("resnet32", "pr_resnet32")
        )
        return [
            f"{getattr(case, count) / case.total:.1%}" if case else "-"
            for case in cases
        ]

    return [
        ("none", *accuracies("pgd", count="correct")),
        ("random noise", *accuracies("noise")),
        ("PGD, 40 steps, exact gradient", *accuracies("pgd")),
        ("PGD, 40 steps, identity backward", *accuracies("pgd", "identity")),
    ]


def test_the_first_table_of_the_readme_is_exact():
    """Each cell is its own record's figure, not any that is true elsewhere."""
    blocks = blocks_of(TEXTS[0].replace("**0.0%**", "0.0%"))
    (rows,) = [
        table_rows(block)
        for block in blocks
        if block.startswith("| attack, L-infinity, 8/255")
    ]
    assert rows == headline()
