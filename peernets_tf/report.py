"""Prints records side by side: `python -m peernets_tf.report RECORD ...`."""

import os

from absl import app

from peernets_tf import command, paper, results

_COLUMNS = (
    "model",
    "dataset",
    "epochs",
    "peers",
    "test images",
    "accuracy",
    "paper",
)


def report(argv: list[str]) -> None:
    """Prints one row for each record named in `argv[1:]`."""
    paths = argv[1:]
    if not paths:
        raise ValueError(
            "no records: give paths, as in python -m peernets_tf.report "
            "runs/*/record.json"
        )
    rows = [_row(results.read_json(path)) for path in paths]
    print(results.format_table(_COLUMNS, rows))
    for path in paths:
        print(f"Record {path}, model in {os.path.dirname(path) or '.'}")


def _row(record: results.TrainingResult) -> tuple[str, ...]:
    published = paper.ACCURACY.get((record.dataset, record.model))
    has_peers = record.num_peers > 0
    return (
        record.model,
        record.dataset,
        str(len(record.history)),
        f"{record.num_peers} x {record.num_graphs}" if has_peers else "-",
        str(record.test_size),
        f"{record.accuracy:.2%}",
        "-" if published is None else f"{published:.2%}",
    )


if __name__ == "__main__":
    app.run(command.guarded(report))
