"""The grids of Figures 4 and 8: a row for each network, a column for each rho.

They show values that `peernets_tf.pictures.universal` computed.
"""

import dataclasses

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from peernets_tf import datasets
from peernets_tf.datasets import class_name
from peernets_tf.pictures import panels
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records.tables import dataset_name, network_name

_VERDICT = (
    "Below an image stands the predicted class, ✓ if it is right, ✗ and a "
    "frame if it is wrong."
)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One network, its perturbations, and what it predicts.

    Attributes:
        model: str, the network's name.
        label: str, what its row is called.
        perturbations: tuple of R float arrays of shape `(H, W, C)`.
        images: float array of shape `(R, N, H, W, C)`, the perturbed images.
        predictions: int array of shape `(R, N)`.
    """

    model: str
    label: str
    perturbations: tuple[NDArray[np.float32], ...]
    images: NDArray[np.float32]
    predictions: NDArray[np.int32]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """Everything that both pictures show.

    Attributes:
        dataset: str, the data set's name.
        rhos: tuple of floats, R strengths.
        clean: `datasets.Split` of N images, which all networks classify
            correctly.
        rows: tuple of `Row`s.
    """

    dataset: str
    rhos: tuple[float, ...]
    clean: datasets.Split
    rows: tuple[Row, ...]


def perturbations_picture(shown: Shown, budget: str) -> Picture:
    """Returns Figure 4: each perturbation, and one image with each of them.

    Args:
        shown: what is `Shown`.
        budget: str, sentences of the caption that say how perturbations were
            made.
    """
    largest = max(np.abs(row.perturbations).max() for row in shown.rows)
    factor = panels.contrast_factor(float(largest))

    def draw(theme: Theme) -> Figure:
        rows, columns = len(shown.rows), 1 + len(shown.rhos)
        figure = Figure(figsize=(1.5 + 1.45 * columns, 0.6 + 3.5 * rows))
        top, bottom = figure.subfigures(2, 1, squeeze=False)[:, 0]
        top.suptitle(f"Perturbations, × {factor:g} around grey", fontsize=12)
        bottom.suptitle("Added to one test image, as they are", fontsize=12)
        grids = [
            part.subplots(rows, columns, squeeze=False)
            for part in (top, bottom)
        ]
        for row, above, below in zip(shown.rows, *grids, strict=True):
            color = theme.color(row.model)
            panels.hide(above[0])
            panels.show(below[0], shown.clean.images[0], theme)
            _verdict(below[0], shown, int(shown.clean.labels[0]), 0, theme)
            for axes in (above[1], below[0]):
                panels.row_label(axes, row.label, color)
            for i, v in enumerate(row.perturbations):
                panels.show(above[1 + i], panels.amplified(v, factor), theme)
                panels.note(
                    above[1 + i], panels.norms_text(*panels.pixel_norms(v))
                )
                panels.show(below[1 + i], row.images[i, 0], theme)
                _verdict(below[1 + i], shown, row.predictions[i, 0], 0, theme)
        panels.heading(grids[1][0, 0], "original")
        for grid in grids:
            for i, rho in enumerate(shown.rhos):
                panels.heading(grid[0, 1 + i], f"ρ = {rho:g}")
        return figure

    names = _names(shown)
    return Picture(
        name="figure_4_universal_perturbations",
        title="Figure 4: universal perturbations at each ρ",
        caption=_sentences(
            f"Universal perturbations for {names} on "
            f"{dataset_name(shown.dataset)}, and one test image with each of "
            "them added and clipped.",
            "ρ is their L2 norm over the mean L2 norm of the training images.",
            budget,
            f"Perturbations are shown {factor:g} times as strong as they are, "
            "grey where they are zero; their norms are on the 0-255 pixel "
            "scale.",
            _VERDICT,
        ),
        alt=_alt(shown, 1),
        draw=draw,
    )


def images_picture(shown: Shown, budget: str) -> Picture:
    """Returns Figure 8: several images with each perturbation.

    Args:
        shown: what is `Shown`.
        budget: str, as for `perturbations_picture`.
    """

    def draw(theme: Theme) -> Figure:
        rows, columns = len(shown.rows), 1 + len(shown.rhos)
        count = len(shown.clean)
        # Two blocks of images side by side.
        lines = -(-count // 2)
        figure = Figure(
            figsize=(1.3 + 1.3 * columns * min(count, 2), 1.55 * rows * lines)
        )
        # The left blocks have the names of the rows, too.
        blocks = figure.subfigures(
            lines,
            min(count, 2),
            squeeze=False,
            width_ratios=(columns + 0.9, columns)[: min(count, 2)],
        )
        for i, block in enumerate(blocks.ravel()[:count]):
            grid = block.subplots(rows, columns, squeeze=False)
            _draw_block(grid, shown, i, theme, has_labels=i % 2 == 0)
        return figure

    return Picture(
        name="figure_8_universal_images",
        title="Figure 8: test images with universal perturbations",
        caption=_sentences(
            f"{len(shown.clean)} test images of {dataset_name(shown.dataset)} "
            f"with the universal perturbations for {_names(shown)} added and "
            "clipped.",
            "ρ is their L2 norm over the mean L2 norm of the training images.",
            budget,
            "The images are the first of different classes that all networks "
            "classify correctly.",
            _VERDICT,
        ),
        alt=_alt(shown, len(shown.clean)),
        draw=draw,
    )


def _draw_block(
    grid: NDArray[np.object_],
    shown: Shown,
    i: int,
    theme: Theme,
    *,
    has_labels: bool,
) -> None:
    """Draws one image: the original left, a row for each network."""
    for place, (row, line) in enumerate(zip(shown.rows, grid, strict=True)):
        if place == 0:
            panels.show(line[0], shown.clean.images[i], theme)
            _verdict(line[0], shown, int(shown.clean.labels[i]), i, theme)
            panels.heading(line[0], "original")
        else:
            panels.hide(line[0])
        if has_labels:
            panels.row_label(line[0], row.label, theme.color(row.model))
        for j, rho in enumerate(shown.rhos):
            panels.show(line[1 + j], row.images[j, i], theme)
            _verdict(line[1 + j], shown, row.predictions[j, i], i, theme)
            if place == 0:
                panels.heading(line[1 + j], f"ρ = {rho:g}")


def _verdict(
    axes: Axes, shown: Shown, predicted: int, i: int, theme: Theme
) -> None:
    name = class_name(shown.dataset, predicted)
    panels.verdict(axes, name, predicted == shown.clean.labels[i], theme)


def _sentences(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _names(shown: Shown) -> str:
    return " and ".join(
        dict.fromkeys(network_name(row.model) for row in shown.rows)
    )


def _alt(shown: Shown, count: int) -> str:
    """Says how many of the first images keep their class at each strength."""
    labels = shown.clean.labels[:count]
    parts = []
    for row in shown.rows:
        right = (row.predictions[:, :count] == labels).sum(axis=1)
        kept = ", ".join(
            f"{n} at rho {rho:g}"
            for n, rho in zip(right, shown.rhos, strict=True)
        )
        parts.append(f"{' '.join(row.label.split())}: {kept}")
    return (
        f"Perturbed images. Of {count}, these are still classified "
        f"correctly: {'; '.join(parts)}."
    )
