"""Figures 4 and 8: universal perturbations, and what they do at each rho."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from peernets_tf import attacks, datasets, peers, records
from peernets_tf.datasets import class_name
from peernets_tf.errors import UserError
from peernets_tf.pictures import panels
from peernets_tf.pictures.examples import correct_images, of_different_classes
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records.tables import dataset_name, network_name

# Test images among which those of different classes are looked for.
_NUM_CANDIDATES = 100
_FIT = re.compile(r"passes=(\d+).* on (\d+) training images")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Row:
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
class _Shown:
    """Everything that both pictures show.

    Attributes:
        dataset: str, the data set's name.
        rhos: tuple of floats, R strengths.
        clean: `datasets.Split` of N images, which all networks classify
            correctly.
        rows: tuple of `_Row`s.
    """

    dataset: str
    rhos: tuple[float, ...]
    clean: datasets.Split
    rows: tuple[_Row, ...]


def universal_pictures(
    models: Sequence[keras.Model],
    perturbations: Sequence[Mapping[float, NDArray[np.float32]]],
    dataset: datasets.Dataset,
    *,
    backwards: Sequence[str] = (),
    budget: str = "",
    num_images: int = 4,
) -> list[Picture]:
    """Returns Figures 4 and 8 of the paper.

    Predictions of a PeerNet are averaged over the graphs that it stores.

    Args:
        models: the networks, one row each. One may come twice, with
            perturbations that were fitted in two ways.
        perturbations: for each network its perturbations by rho, float arrays
            of shape `(H, W, C)` for images in [0, 1]. Only what all of them
            have is shown.
        dataset: the `Dataset`, whose test images are perturbed.
        backwards: the backward pass that each fit followed, such as
            `"identity"`, which the rows of PeerNets name; empty to leave that
            out.
        budget: str, a sentence of the caption, see `budget_of`.
        num_images: int, the test images of Figure 8.

    Returns:
        The two `Picture`s.

    Raises:
        UserError: if there is not one mapping for each network, no rho is in
            all of them, a shape is wrong, or the networks classify no test
            image correctly together.
    """
    rhos = _common_rhos(models, perturbations, dataset)
    correct = correct_images(models, dataset.test, _NUM_CANDIDATES)
    clean = of_different_classes(correct, num_images)
    shown = _Shown(
        dataset=dataset.name,
        rhos=rhos,
        clean=clean,
        rows=tuple(
            _row(model, [found[rho] for rho in rhos], clean, backward)
            for model, found, backward in zip(
                models,
                perturbations,
                backwards or [""] * len(models),
                strict=True,
            )
        ),
    )
    return [
        _perturbations_picture(shown, budget),
        _images_picture(shown, budget),
    ]


def budget_of(record: records.AttackRecord) -> str:
    """Returns what a record of a universal attack says of its fit.

    Args:
        record: the `AttackRecord`.
    """
    match = _FIT.search(record.cases[0].attack)
    if match is None:
        return ""
    passes, images = map(int, match.groups())
    return (
        f"Fitted by {record.attack} in {passes} passes over {images:,} "
        "training images."
    )


def _common_rhos(
    models: Sequence[keras.Model],
    perturbations: Sequence[Mapping[float, NDArray[np.float32]]],
    dataset: datasets.Dataset,
) -> tuple[float, ...]:
    if not models or len(models) != len(perturbations):
        raise UserError(
            "`perturbations` must hold one mapping for each of `models`. "
            f"Received: {len(perturbations)} for {len(models)} models"
        )
    rhos = sorted(set.intersection(*map(set, perturbations)))
    if not rhos:
        received = " and ".join(str(sorted(found)) for found in perturbations)
        raise UserError(
            f"`perturbations` must have a rho in common. Received: {received}"
        )
    shape = dataset.test.images.shape[1:]
    for found in perturbations:
        for rho in rhos:
            if found[rho].shape != shape:
                raise UserError(
                    f"perturbations must have the images' shape, {shape}. "
                    f"Received: {found[rho].shape} at rho {rho:g}"
                )
    return tuple(rhos)


def _row(
    model: keras.Model,
    perturbations: Sequence[NDArray[np.float32]],
    clean: datasets.Split,
    backward: str,
) -> _Row:
    classifier = attacks.Classifier(peers.monte_carlo(model))
    images = np.stack(
        [attacks.apply_perturbation(clean.images, v) for v in perturbations]
    )
    label = network_name(model.name)
    if backward and peers.peer_layers(model):
        label += f"\n{backward}"
    return _Row(
        model=model.name,
        label=label,
        perturbations=tuple(perturbations),
        images=images,
        predictions=np.stack([classifier.predict(batch) for batch in images]),
    )


def _perturbations_picture(shown: _Shown, budget: str) -> Picture:
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
            for axes in (above[0], below[0]):
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
        caption=(
            f"Universal perturbations for {names} on "
            f"{dataset_name(shown.dataset)}, and one test image with each of "
            "them added and clipped. ρ is their L2 norm over the mean L2 norm "
            f"of the training images. {budget} Perturbations are shown "
            f"{factor:g} times as strong as they are, grey where they are "
            "zero; their norms are on the 0-255 pixel scale. Below an image "
            "stands the predicted class, ✓ if it is right."
        ),
        alt=_alt(shown, 1),
        draw=draw,
    )


def _images_picture(shown: _Shown, budget: str) -> Picture:
    def draw(theme: Theme) -> Figure:
        rows, columns = len(shown.rows), 1 + len(shown.rhos)
        count = len(shown.clean)
        # Two blocks of images side by side.
        lines = -(-count // 2)
        figure = Figure(figsize=(2 + 2.5 * columns, 1.55 * rows * lines))
        blocks = figure.subfigures(lines, min(count, 2), squeeze=False)
        for i, block in enumerate(blocks.ravel()[:count]):
            grid = block.subplots(rows, columns, squeeze=False)
            _draw_block(grid, shown, i, theme, has_labels=i % 2 == 0)
        return figure

    return Picture(
        name="figure_8_universal_images",
        title="Figure 8: test images with universal perturbations",
        caption=(
            f"{len(shown.clean)} test images of {dataset_name(shown.dataset)} "
            f"with the universal perturbations for {_names(shown)} added and "
            f"clipped. {budget} The images are the first of different classes "
            "that all networks classify correctly. Below an image stands the "
            "predicted class, ✓ if it is right."
        ),
        alt=_alt(shown, len(shown.clean)),
        draw=draw,
    )


def _draw_block(
    grid: NDArray[np.object_],
    shown: _Shown,
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
    axes: Axes, shown: _Shown, predicted: int, i: int, theme: Theme
) -> None:
    name = class_name(shown.dataset, predicted)
    panels.verdict(axes, name, predicted == shown.clean.labels[i], theme)


def _names(shown: _Shown) -> str:
    return " and ".join(
        dict.fromkeys(network_name(row.model) for row in shown.rows)
    )


def _alt(shown: _Shown, count: int) -> str:
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
