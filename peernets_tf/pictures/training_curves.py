"""Validation accuracy after each epoch of trainings."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from peernets_tf.pictures import labels
from peernets_tf.pictures.lines import WIDTH, Line, Point, draw_lines, drawn
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import TrainingRecord

_PANEL_HEIGHT = 2.9
# The height of a line's name, as a share of the y axis.
_GAP = 0.1


def training_curves(records: Sequence[TrainingRecord]) -> list[Picture]:
    """Returns one picture, a panel for each data set, or none without data.

    The epochs of an initial model count first, as in
    `training_tables.accuracy_curves`. Defences, whose autoencoders are trained
    instead, are left out, as are trainings whose history has a row for each
    checkpoint, not for each epoch.
    """
    records = [r for r in records if r.defense is None and r.num_steps is None]
    panels = {
        dataset: lines
        for dataset in dict.fromkeys(record.dataset for record in records)
        if (lines := _lines([r for r in records if r.dataset == dataset]))
    }
    if not panels:
        return []
    names = [labels.dataset(name) for name in panels]

    def draw(theme: Theme) -> Figure:
        figure = Figure(figsize=(WIDTH, _PANEL_HEIGHT * len(panels)))
        rows = figure.subplots(len(panels), squeeze=False)[:, 0]
        for axes, name, lines in zip(rows, names, panels.values(), strict=True):
            heights = [point.y for line in lines for point in line.points]
            # Room below the lowest point.
            bottom = max(0, 1.3 * min(heights) - 30)
            axes.set_ylim(bottom, 100)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_title(drawn(name))
            axes.set_xlabel("epoch")
            axes.set_ylabel("validation accuracy (%)")
            draw_lines(axes, lines, theme, gap=_GAP * (100 - bottom))
        return figure

    return [
        Picture(
            name="training_curves",
            title="Training",
            caption=(
                f"Validation accuracy after each epoch.{_sum(records)} "
                f"Training images: {_sizes(records)}. The validation images "
                "are the first of the test set, 1,000 unless the command names "
                "another number."
            ),
            alt="Validation accuracy against epochs. "
            + " ".join(
                f"{line.label} on {name}: {line.points[-1].y:.1f} % after "
                f"epoch {line.points[-1].x:g}."
                for name, lines in zip(names, panels.values(), strict=True)
                for line in lines
            ),
            draw=draw,
        )
    ]


def _lines(records: Sequence[TrainingRecord]) -> list[Line]:
    lines = []
    for record in records:
        before = record.initial_model.epochs if record.initial_model else 0
        points = tuple(
            Point.bare(epoch, 100 * row["val_accuracy"])
            for epoch, row in enumerate(record.history, start=(before or 0) + 1)
            if "val_accuracy" in row
        )
        name = labels.network(record.model)
        if points:
            lines.append(
                Line(
                    label=f"{name}, {_epochs(record)}",
                    model=record.model,
                    kind="exact",
                    points=points,
                )
            )
    return lines


def _sum(records: Sequence[TrainingRecord]) -> str:
    """Returns a sentence on epochs such as 8 + 8, after a space, or nothing."""
    for record in records:
        if record.initial_model is not None:
            return (
                f" Of {_epochs(record)}, the first are those of the network "
                "that the training began with."
            )
    return ""


def _epochs(record: TrainingRecord) -> str:
    unit = "epoch" if record.epochs == "1" else "epochs"
    return f"{record.epochs} {unit}"


def _sizes(records: Sequence[TrainingRecord]) -> str:
    """Returns the numbers of training images, by data set."""
    sizes: dict[str, dict[str, None]] = {}
    for record in records:
        name = labels.dataset(record.dataset)
        sizes.setdefault(name, {})[f"{record.train_size:,}"] = None
    return ", ".join(
        f"{name} {' or '.join(counts)}" for name, counts in sizes.items()
    )
