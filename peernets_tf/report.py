"""Prints records side by side: `python -m peernets_tf.report RECORD ...`."""

import itertools
import os

from absl import flags

from peernets_tf import command, paper, results

_CURVES = flags.DEFINE_bool(
    "curves", False, "Also print the validation accuracy after each epoch."
)


def report(argv: list[str]) -> None:
    """Prints one row for each record named in `argv[1:]`."""
    paths = argv[1:]
    if not paths:
        raise ValueError(
            "no records: give paths, as in python -m peernets_tf.report "
            "runs/*/record.json"
        )
    records = [results.read_json(path) for path in paths]
    print(_accuracies(records))
    if _CURVES.value:
        print(f"\n{_curves(records)}")
    for path in paths:
        print(f"Record {path}, model in {os.path.dirname(path) or '.'}")


def _accuracies(records: list[results.TrainingResult]) -> str:
    columns = (
        "model",
        "dataset",
        "epochs",
        "peers",
        "test images",
        "accuracy",
        "paper",
    )
    return results.format_table(columns, list(map(row, records)))


def row(record: results.TrainingResult) -> tuple[str, ...]:
    """Returns the cells of one record in the table of accuracies."""
    published = paper.ACCURACY.get((record.dataset, record.model))
    has_peers = record.num_peers > 0
    return (
        record.model,
        record.dataset,
        record.epochs,
        f"{record.num_peers} x {record.num_graphs}" if has_peers else "-",
        str(record.test_size),
        f"{record.accuracy:.2%}",
        "-" if published is None else f"{published:.2%}",
    )


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
