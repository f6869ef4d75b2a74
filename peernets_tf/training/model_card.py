"""The model card: what a published model is, and what attacks did to it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from peernets_tf import records
from peernets_tf.records import attack_tables, paper, tables

# The attack of Table 6.
_CHALLENGE = "pgd of the challenge"


class _Row(NamedTuple):
    """A row of the table of attacks."""

    attack: str
    backward: str
    graphs: str
    strength: str
    images: int
    accuracy: str

    def cells(self) -> tuple[str, ...]:
        return (
            self.attack,
            self.backward,
            self.graphs,
            self.strength,
            f"{self.images:,}",
            self.accuracy,
        )


def model_card(
    name: str,
    run: records.TrainingRecord,
    published: records.TrainingRecord,
    attacks: Sequence[records.Record] = (),
    *,
    is_preset: bool = True,
) -> str:
    """Returns the Markdown text that describes a published model.

    Args:
        name: str, the name of the published model.
        run: the `records.TrainingRecord` of the training.
        published: the `records.TrainingRecord` of the published model.
        attacks: sequence of records; the card shows those of attacks on the
            published weights, see `attacks_on`, and what Table 6 has of them.
        is_preset: bool, whether `load_pretrained` finds the model by its name.
    """
    load = f'models.load("{name}.keras")'
    if is_preset:
        load = f'load_pretrained("{name}")'
    averaged = this_file = rejection = ""
    command = records.code(run.provenance.command)
    if run.graphs:
        averaged = (
            f", with logits averaged over {run.graphs.num_graphs} graphs of "
            f"{run.graphs.num_peers} peers"
        )
        this_file = ", which holds one of these graphs"
    if published.rejected is not None:
        rejection = (
            "; the last one is the largest where the image is rejected, which "
            "counts as wrong in the accuracies above"
        )
    rows = _attack_rows(published, attacks)
    under_attack = "No attack of a given strength on this model was recorded."
    if rows:
        under_attack = tables.markdown_table(
            _Row._fields, [row.cells() for row in rows]
        ) + _legend(rows)
    parameters = ""
    if published.num_parameters is not None:
        parameters = f"- Parameters: {published.num_parameters:,}.\n"
    return f"""# {name}

{_training(run)}

- Training data: the {run.train_size:,} training images of \
{records.escape(records.dataset_name(run.dataset))}.
- Test accuracy after training: {_accuracy(run)} of {run.test_size:,} \
images{averaged}.
- Test accuracy of this file{this_file}: {_accuracy(published)} of the first \
{published.test_size:,} test images.
{parameters}\
- Input: float32 images of shape `(B, H, W, C)` in [0, 1]. Output: logits\
{rejection}.
{_recipe(run.provenance.flags)}\
- Training command: `{command}`, seed {run.provenance.seed}, \
commit {records.escape(run.provenance.commit)}.
- Training time: {tables.duration_text(run.provenance.seconds)} on \
{records.escape(run.provenance.device)}.

```python
import peernets_tf

model = peernets_tf.{load}
logits = model(images, training=False)
```

## Accuracy under attack

{under_attack}

## Limits

- The network was trained once, with one seed. ± is the 95 % margin that comes
  from the choice of test images alone.
{_limits(run, rows)}\
- The model is meant for research on robustness. Do not rely on it as a defence.
"""


def attacks_on(
    published: records.TrainingRecord, found: Sequence[records.Record]
) -> list[records.AttackRecord | records.SuiteRecord]:
    """Returns the records of attacks on a model as it is published.

    Args:
        published: the `records.TrainingRecord` of the published model.
        found: sequence of records of any kind.

    Returns:
        Those of attacks and suites whose model had the published weights,
        without those that changed what its layers compute.
    """
    return [
        record
        for record in found
        if isinstance(record, records.AttackRecord | records.SuiteRecord)
        and record.weights_sha256 == published.weights_sha256
        and not record.is_ablated
    ]


def _attack_rows(
    published: records.TrainingRecord, found: Sequence[records.Record]
) -> list[_Row]:
    """Returns the rows of the suites, and of each attack on its most images.

    Of attacks on equally many images the strongest is shown. Of attacks in a
    ball, those in the ball of a suite are shown, and all if there is no suite.
    """
    attacks = attacks_on(published, found)
    suites = records.of_kind(records.SuiteRecord, attacks)
    balls = {(r.result.norm, r.result.epsilon) for r in suites}
    cases = [
        (case, _attack_row(record, case))
        for record in records.of_kind(records.AttackRecord, attacks)
        for case in record.cases
    ]
    cases += [
        (attacked.case, _challenge_row(compared, attacked))
        for comparison in records.of_kind(records.ComparisonRecord, found)
        for compared in comparison.rows
        for attacked in compared.cases
        if compared.weights_sha256 == published.weights_sha256
        and attacked.case.attack == paper.CHALLENGE_ATTACK
    ]
    shown: dict[tuple[str, ...], tuple[int, float, _Row]] = {}
    for case, row in cases:
        in_ball = not balls or (case.norm, case.epsilon) in balls
        if case.epsilon is None or case.rho is None and not in_ball:
            continue
        key = (row.attack, row.backward, row.graphs, row.strength)
        fooled = 1 - case.adversarial_correct / case.total
        if (case.total, fooled) > shown.get(key, (0, 0.0))[:2]:
            shown[key] = (case.total, fooled, row)
    return [
        *map(_suite_row, suites),
        *(shown[key][2] for key in sorted(shown)),
    ]


def _legend(rows: Sequence[_Row]) -> str:
    """Returns the lines that explain words of the table."""
    lines = []
    if any(" x " in row.graphs for row in rows):
        lines.append(
            "- `graphs` is N x M: M graphs of N peers. This file holds one "
            "graph;\n  the other graphs were drawn for the attack."
        )
    if any("EOT" in row.backward for row in rows):
        lines.append("- `EOT n`: each step averages over n graphs.")
    if any(row.attack == _CHALLENGE for row in rows):
        lines.append(
            f"- `{_CHALLENGE}` is PGD of 10 steps of 2/255, as in Table 6 of "
            "the paper."
        )
    return "".join(f"\n{line}" for line in ["", *lines]) if lines else ""


def _limits(run: records.TrainingRecord, rows: Sequence[_Row]) -> str:
    """Returns the lines of the limits that depend on the attacks."""
    if not rows:
        return ""
    counts = [row.images for row in rows]
    number = " to ".join(f"{n:,}" for n in sorted({min(counts), max(counts)}))
    lines = f"""\
- Each row above is an attack on {number} test images. An attack that is not
  among them may leave fewer.
"""
    if not run.graphs:
        return lines
    if any("identity" in row.backward for row in rows):
        return f"""{lines}\
- Along the exact gradient, a network with peers looks more robust than it is:
  rely on the rows with the `identity` backward pass.
"""
    return f"""{lines}\
- No attack followed the `identity` backward pass, which fools other networks
  with peers far more often than the exact gradient does.
"""


def _suite_row(record: records.SuiteRecord) -> _Row:
    result = record.result
    return _Row(
        attack=f"suite {result.suite}{_rejection(result.rejected_as)}",
        backward=_followed(record),
        graphs=tables.graphs_cell(record.threat_model),
        strength=records.ball_text(result.norm, result.epsilon),
        images=result.total,
        accuracy=tables.rate_text(result.robust, result.total),
    )


def _followed(record: records.SuiteRecord) -> str:
    """Returns the backward passes whose attacks count and attacked an image."""
    followed = record.result.backwards
    if record.threat_model is None and followed == ("exact",):
        return "-"
    return ", ".join(followed) or "-"


def _attack_row(record: records.AttackRecord, case: records.AttackCase) -> _Row:
    is_own = record.transfer_from is None
    source = "" if is_own else f" from {record.transfer_from}"
    return _Row(
        attack=f"{record.attack}{_rejection(record.rejected_as)}{source}",
        backward=attack_tables.backward_text(record),
        graphs=tables.graphs_cell(record.threat_model, with_policy=is_own),
        strength=attack_tables.strength_text(case),
        images=case.total,
        accuracy=tables.rate_text(case.adversarial_correct, case.total),
    )


def _challenge_row(
    compared: records.ComparisonRow, attacked: records.ComparisonCase
) -> _Row:
    """Returns the row of a network of Table 6 under the challenge's attack."""
    return _Row(
        attack=_CHALLENGE,
        backward=attacked.backward if compared.threat_model else "-",
        graphs=tables.graphs_cell(compared.threat_model),
        strength=attack_tables.strength_text(attacked.case),
        images=attacked.case.total,
        accuracy=tables.rate_text(
            attacked.case.adversarial_correct, attacked.case.total
        ),
    )


def _rejection(rejected_as: str | None) -> str:
    """Returns what a rejected image counted as, to follow an attack's name."""
    return "" if rejected_as is None else f" (rejected is {rejected_as})"


def _accuracy(record: records.TrainingRecord) -> str:
    return tables.rate_text(record.correct, record.test_size, digits=2)


def _training(run: records.TrainingRecord) -> str:
    """Returns the sentences about a model's epochs."""
    if run.defense is not None and run.initial_model is not None:
        return (
            f"{records.escape(run.model)}: `{records.code(run.defense)}` in "
            f"front of the {records.escape(run.initial_model.model)} in "
            f"`{records.code(run.initial_model.path)}`."
        )
    images, length = "", f"{len(run.history)} epochs"
    if run.attack is not None:
        images = f"images of `{records.code(run.attack)}` from "
        backward = run.provenance.flags.get("backward") or "exact"
        if backward != "exact":
            # The exact gradient of a PeerNet is masked.
            images = (
                f"images of `{records.code(run.attack)}`, made along the "
                f"{backward} backward pass, from "
            )
    if run.num_steps is not None:
        length = f"{run.num_steps:,} steps"
    trained = (
        f"{records.escape(run.model)}, trained on {images}"
        f"{records.escape(run.dataset)} for {length}"
    )
    initial = run.initial_model
    if initial is None:
        return f"{trained} from random weights."
    before = ""
    if initial.epochs is not None:
        before = f" that was trained for {initial.epochs} epochs"
    return (
        f"{trained}. The training started from the weights of a "
        f"{records.escape(initial.model)}{before} "
        f"({records.escape(initial.path)})."
    )


def _recipe(flags: Mapping[str, Any]) -> str:
    """Returns the line about how a training went, empty if flags are missing.

    Args:
        flags: mapping, those of `peernets_tf.train` or `madry_challenge.train`.
    """
    if "optimizer" in flags:
        optimizer = flags["optimizer"]
        if optimizer != "adam":
            optimizer += f" {flags['momentum']}"
        schedule = flags["schedule"]
        if schedule == "step":
            epochs = ", ".join(map(str, flags["decay_epochs"]))
            schedule = f"times {flags['decay_factor']} after epochs {epochs}"
        rate = f"{flags['learning_rate']} ({schedule})"
        size, decay = flags["batch_size"], flags["l2"]
    elif "step_size_schedule" in flags:
        optimizer = f"momentum {flags['momentum']}"
        rate = ", ".join(
            f"{value} from step {step:,}"
            for step, value in flags["step_size_schedule"]
        )
        size, decay = flags["training_batch_size"], flags["weight_decay"]
    else:
        return ""
    changed = ", shifted and mirrored at random" if flags["augment"] else ""
    # Older records have neither noise nor a precision.
    if flags.get("noise_std"):
        changed += (
            f", {flags['noise_share']:.0%} of them with Gaussian noise of "
            f"standard deviation {flags['noise_std']}"
        )
    if flags.get("precision") not in (None, "float32"):
        changed += f", in {flags['precision']}"
    recipe = (
        f"{optimizer}, learning rate {rate}, L2 {decay}, batches of {size} "
        f"images{changed}"
    )
    return f"- Recipe: {records.escape(recipe)}.\n"
