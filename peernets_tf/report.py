"""Prints records side by side: `python -m peernets_tf.report RECORD ...`."""

import itertools
import os

from absl import flags

from peernets_tf import command, results, tables

_CURVES = flags.DEFINE_bool(
    "curves", False, "Also print the validation accuracy after each epoch."
)


def report(argv: list[str]) -> None:
    """Prints the tables of the records named in `argv[1:]`."""
    paths = argv[1:]
    if not paths:
        raise ValueError(
            "no records: give paths, as in python -m peernets_tf.report "
            "runs/*/record.json"
        )
    records = list(map(results.read_record, paths))
    trainings = [r for r in records if isinstance(r, results.TrainingResult)]
    attacks = [r for r in records if isinstance(r, results.AttackResult)]
    if trainings:
        rows = list(map(tables.training_row, trainings))
        print(results.format_table(tables.TRAINING_COLUMNS, rows))
    if trainings and _CURVES.value:
        print(f"\n{_curves(trainings)}")
    if attacks:
        print(tables.attack_table(attacks))
    for path in paths:
        print(f"Record {path}, model in {os.path.dirname(path) or '.'}")


def _curves(records: list[results.TrainingResult]) -> str:
    """Returns a table with one row an epoch and one column a record."""
    columns = ("epoch", *(f"{r.model}, {r.dataset}" for r in records))
    accuracies = itertools.zip_longest(
        *([f"{row['val_accuracy']:.1%}" for row in r.history] for r in records),
        fillvalue="",
    )
    rows = [(str(i), *row) for i, row in enumerate(accuracies, start=1)]
    return results.format_table(columns, rows)


if __name__ == "__main__":
    command.run(report)
