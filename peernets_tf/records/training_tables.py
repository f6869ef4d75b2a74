"""The tables of trainings: their test accuracies and validation curves."""

from collections.abc import Sequence

from peernets_tf.records import paper
from peernets_tf.records.names import dataset_name
from peernets_tf.records.tables import Table, rate_text, size_text
from peernets_tf.records.training import TrainingRecord

TRAINING_COLUMNS = (
    "model",
    "dataset",
    "epochs",
    "peers",
    "images",
    "accuracy",
    "paper",
)


def training_table(records: Sequence[TrainingRecord]) -> Table:
    """Returns the table of trainings."""
    return Table("", TRAINING_COLUMNS, tuple(map(training_row, records)))


def training_row(record: TrainingRecord) -> tuple[str, ...]:
    """Returns the cells of a training, in the order of `TRAINING_COLUMNS`."""
    published = None
    if record.attack is None:
        published = paper.ACCURACY.get((record.dataset, record.model))
    return (
        record.model + (" (adversarial)" if record.attack else ""),
        record.dataset,
        record.epochs,
        size_text(record.graphs),
        str(record.test_size),
        rate_text(record.correct, record.test_size, digits=2)
        + ("" if record.rejected is None else f", {record.rejected} rejected"),
        "-" if published is None else f"{published:.2%}",
    )


def accuracy_curves(records: Sequence[TrainingRecord]) -> list[Table]:
    """Returns validation accuracies, one table for each data set.

    A row is an epoch, a column a training. The epochs of an initial model count
    first. Trainings that count steps instead, and defences, are left out.
    """
    records = [r for r in records if r.num_steps is None and r.defense is None]
    return [
        _curves(dataset, [r for r in records if r.dataset == dataset])
        for dataset in dict.fromkeys(record.dataset for record in records)
    ]


def _curves(dataset: str, records: Sequence[TrainingRecord]) -> Table:
    cells: dict[int, dict[int, str]] = {}
    for i, record in enumerate(records):
        before = record.initial_model.epochs if record.initial_model else 0
        for epoch, row in enumerate(record.history, start=(before or 0) + 1):
            if "val_accuracy" in row:
                cells.setdefault(epoch, {})[i] = f"{row['val_accuracy']:.1%}"
    columns = ("epoch", *(record.model for record in records))
    rows = tuple(
        (str(epoch), *(cells[epoch].get(i, "") for i in range(len(records))))
        for epoch in sorted(cells)
    )
    return Table(f"{dataset_name(dataset)}, validation accuracy", columns, rows)
