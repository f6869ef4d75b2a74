"""Prints records side by side: `python -m peernets_tf.report RECORD ...`."""

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
        print(f"\n{curves(trainings)}")
    if attacks:
        print(tables.attack_table(attacks))
    for path in paths:
        model = os.path.join(os.path.dirname(path), "model.keras")
        where = f", model {model}" if os.path.exists(model) else ""
        print(f"Record {path}{where}")


def curves(records: list[results.TrainingResult]) -> str:
    """Returns a table with one row an epoch and one column a record.

    Epochs of an initial model count first.
    """
    columns = ["epoch"]
    cells: dict[int, dict[int, str]] = {}
    for i, record in enumerate(records):
        columns.append(f"{record.model}, {record.dataset}")
        before = record.initial_model.get("epochs") or 0
        for epoch, row in enumerate(record.history, start=before + 1):
            cells.setdefault(epoch, {})[i] = f"{row['val_accuracy']:.1%}"
    rows = [
        [str(epoch), *(cells[epoch].get(i, "") for i in range(len(records)))]
        for epoch in sorted(cells)
    ]
    return results.format_table(columns, rows)


if __name__ == "__main__":
    command.run(report)
