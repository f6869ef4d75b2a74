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
from peernets_tf.pictures import labels, panels
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import dataset_name, network_name

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
        figure = Figure(figsize=(1.5 + 1.3 * columns, 0.4 + 3.3 * rows))
        above, below = panels.blocks(figure, 2, rows, columns)
        for place, row in enumerate(shown.rows):
            for line in (above[place], below[place]):
                panels.hide(line[0])
                panels.row_label(line[0], row.label, theme.ink(row.model))
            for i, v in enumerate(row.perturbations):
                change, image = above[place, 1 + i], below[place, 1 + i]
                panels.show(change, panels.amplified(v, factor), theme)
                panels.note(change, panels.norms_text(*panels.pixel_norms(v)))
                panels.show(image, row.images[i, 0], theme)
                _verdict(image, shown, row.predictions[i, 0], 0, theme)
        panels.empty(above[0, 0], f"perturbation\n× {factor:g}")
        _original(below[0, 0], shown, 0, theme)
        _name_columns(above[0], shown)
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
    clean = shown.clean

    def draw(theme: Theme) -> Figure:
        rows, columns, count = len(shown.rows), 1 + len(shown.rhos), len(clean)
        figure = Figure(figsize=(1.5 + 1.3 * columns, 0.4 + 1.7 * rows * count))
        for i, block in enumerate(panels.blocks(figure, count, rows, columns)):
            _draw_block(block, shown, i, theme)
        return figure

    return Picture(
        name="figure_8_universal_images",
        title="Figure 8: test images with universal perturbations",
        caption=_sentences(
            f"{len(clean)} test images of {dataset_name(shown.dataset)} "
            f"with the universal perturbations for {_names(shown)} added and "
            "clipped.",
            "ρ is their L2 norm over the mean L2 norm of the training images.",
            budget,
            "The images are the first of different classes that all networks "
            "classify correctly.",
            _VERDICT,
        ),
        alt=_alt(shown, len(clean)),
        draw=draw,
    )


def _draw_block(
    block: NDArray[np.object_], shown: Shown, i: int, theme: Theme
) -> None:
    """Draws one image: the original left, a row for each network."""
    for row, line in zip(shown.rows, block, strict=True):
        panels.hide(line[0])
        panels.row_label(line[0], row.label, theme.ink(row.model))
        for j, image in enumerate(row.images[:, i]):
            panels.show(line[1 + j], image, theme)
            _verdict(line[1 + j], shown, row.predictions[j, i], i, theme)
    _original(block[0, 0], shown, i, theme)
    _name_columns(block[0], shown)


def _original(axes: Axes, shown: Shown, i: int, theme: Theme) -> None:
    panels.show(axes, shown.clean.images[i], theme)
    panels.heading(axes, "original")
    _verdict(axes, shown, int(shown.clean.labels[i]), i, theme)


def _name_columns(line: NDArray[np.object_], shown: Shown) -> None:
    for axes, rho in zip(line[1:], shown.rhos, strict=True):
        panels.heading(axes, f"ρ = {rho:g}")


def _verdict(
    axes: Axes, shown: Shown, predicted: int, i: int, theme: Theme
) -> None:
    name = class_name(shown.dataset, predicted)
    panels.verdict(axes, name, predicted == shown.clean.labels[i], theme)


def _sentences(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _names(shown: Shown) -> str:
    return labels.listed(network_name(row.model) for row in shown.rows)


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
