"""Figures 6 and 9: the strength that fools each network, image by image."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from peernets_tf import attacks, datasets
from peernets_tf.datasets import class_name
from peernets_tf.pictures import labels, panels, smallest
from peernets_tf.pictures.attack_kinds import ATTACK_NAMES
from peernets_tf.pictures.examples import correct_images, of_different_classes
from peernets_tf.pictures.smallest import Found, View
from peernets_tf.pictures.strength_scatter import scatter_picture
from peernets_tf.pictures.style import Picture, Theme
from peernets_tf.records import dataset_name, network_name

_ATTACKS = ("fgsm", "gradient_descent", "pgd")
_PGD_STEPS = 10
# From 1 to 255 on the 0-255 pixel scale: each radius four times the last.
_NUM_EPSILONS = 5
_RATIO = 4.0
_NUM_EXAMPLES = 4


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Examples:
    """A few images, and what fools each network on each of them.

    Attributes:
        dataset: str, the data set's name.
        clean: `datasets.Split` of N images.
        views: list of V `View`s.
        found: for each name of an attack, one `Found` for each view.
    """

    dataset: str
    clean: datasets.Split
    views: Sequence[View]
    found: Mapping[str, Sequence[Found]]


def strength_pictures(
    models: Sequence[keras.Model],
    dataset: datasets.Dataset,
    *,
    seed: int = 0,
    num_images: int = 25,
) -> list[Picture]:
    """Returns Figures 6 and 9 of the paper, and one over more images.

    Most of the time goes into compiling three attacks for each network and
    backward pass.

    Args:
        models: the networks, which must not be empty. The last figure compares
            the first with all others, and is left out for a single one.
        dataset: the `Dataset`, whose test images are attacked.
        seed: int, the seed of PGD's random starts.
        num_images: int, the images of the last figure, which all networks
            classify correctly; fewer if there are no more.

    Returns:
        The `Picture`s.

    Raises:
        UserError: if the networks classify no test image correctly together.
    """
    views = smallest.views(models)
    # Another backward pass leaves the predictions as they are.
    classifiers = [v.classifier for v in views if v.backward == "exact"]
    correct = correct_images(classifiers, dataset.test, num_images)
    clean = of_different_classes(correct, _NUM_EXAMPLES)
    found = {
        name: [
            smallest.search(view, clean, _search(name, clean), seed=seed)
            for view in views
        ]
        for name in _ATTACKS
    }
    examples = _Examples(
        dataset=dataset.name, clean=clean, views=views, found=found
    )
    made = [
        _picture(
            examples,
            name="figure_6_strength",
            title="Figure 6: the strength that fools each network",
            images=range(1),
            attack_names=_ATTACKS,
        )
    ]
    if len(clean) > 1:
        made.append(
            _picture(
                examples,
                name="figure_9_strength_of_more_images",
                title="Figure 9: the strength that fools, for more images",
                images=range(1, len(clean)),
                attack_names=("fgsm", "gradient_descent"),
            )
        )
    if len(views) > 1:
        over_all = [
            smallest.search(view, correct, _search("pgd", clean), seed=seed)
            for view in views
        ]
        text = f"PGD with {_PGD_STEPS} steps"
        made.append(scatter_picture(dataset.name, views, over_all, text))
    return made


def _search(name: str, split: datasets.Split) -> attacks.SmallestEpsilon:
    options = {"steps": _PGD_STEPS} if name == "pgd" else {}
    search = attacks.SmallestEpsilon.over(
        attacks.ATTACKS[name], image_shape=split.images.shape[1:], **options
    )
    return dataclasses.replace(search, num_epsilons=_NUM_EPSILONS, ratio=_RATIO)


def _picture(
    examples: _Examples,
    *,
    name: str,
    title: str,
    images: Sequence[int],
    attack_names: Sequence[str],
) -> Picture:
    """Returns a picture of some images under some attacks."""

    def draw(theme: Theme) -> Figure:
        rows, columns = len(examples.views), 1 + 2 * len(attack_names)
        figure = Figure(
            figsize=(1.6 + 1.3 * columns, 0.4 + 1.65 * rows * len(images))
        )
        blocks = panels.blocks(figure, len(images), rows, columns)
        for i, block in zip(images, blocks, strict=True):
            _draw_block(block, examples, i, attack_names, theme)
        return figure

    return Picture(
        name=name,
        title=title,
        caption=_caption(examples, len(images), attack_names),
        alt=_alt(examples, images, attack_names),
        draw=draw,
    )


def _draw_block(
    grid: NDArray[np.object_],
    examples: _Examples,
    i: int,
    attack_names: Sequence[str],
    theme: Theme,
) -> None:
    """Draws one image: a row for each view, two columns for each attack."""
    true_name = class_name(examples.dataset, int(examples.clean.labels[i]))
    for place, (view, line) in enumerate(
        zip(examples.views, grid, strict=True)
    ):
        if place == 0:
            panels.show(line[0], examples.clean.images[i], theme)
            panels.heading(line[0], "original")
            panels.verdict(line[0], true_name, True, theme)
        else:
            panels.hide(line[0])
        label = view.label.replace(", ", "\n")
        panels.row_label(line[0], label, theme.ink(view.model))
        for j, name in enumerate(attack_names):
            found = examples.found[name][place]
            image, change = line[1 + 2 * j : 3 + 2 * j]
            if place == 0:
                panels.heading(image, ATTACK_NAMES[name])
                panels.heading(change, "perturbation")
            panels.show(image, found.adversarial[i], theme)
            predicted = class_name(examples.dataset, int(found.predictions[i]))
            panels.verdict(image, predicted, not found.fooled[i], theme)
            if not found.fooled[i]:
                panels.empty(change, "nothing fools")
                continue
            v = found.perturbations[i]
            factor = panels.contrast_factor(float(np.abs(v).max()))
            panels.show(change, panels.amplified(v, factor), theme)
            panels.note(change, panels.norms_text(found.l2[i], found.linf[i]))


def _caption(
    examples: _Examples, count: int, attack_names: Sequence[str]
) -> str:
    names = labels.listed(network_name(view.model) for view in examples.views)
    images = "One test image" if count == 1 else f"{count} test images"
    steps = f" PGD takes {_PGD_STEPS} steps." if "pgd" in attack_names else ""
    peernet = ""
    if any(view.is_peernet for view in examples.views):
        peernet = (
            " For a PeerNet, exact attacks follow its own gradient, identity "
            "ones a backward pass that skips its PR layers (BPDA)."
        )
    return (
        f"{images} of {dataset_name(examples.dataset)} that {names} classify "
        "correctly, the smallest perturbation that fools each network, and its "
        "L2 and L-infinity norm on the 0-255 pixel scale. Gradient descent "
        "minimises the L2 norm, FGSM and PGD the L-infinity norm, by scanning "
        f"{_NUM_EPSILONS} radii, each {_RATIO:g} times the one before, and "
        f"halving the interval.{steps}{peernet} Each perturbation is scaled "
        "to full contrast, grey where it is zero; below an image stands the "
        "predicted class, ✗ if the network is fooled."
    )


def _alt(
    examples: _Examples, images: Sequence[int], attack_names: Sequence[str]
) -> str:
    """Lists the L-infinity norms."""
    parts = []
    for place, view in enumerate(examples.views):
        for name in attack_names:
            found = examples.found[name][place]
            norms = ", ".join(
                f"{found.linf[i]:.3g}" if found.fooled[i] else "not fooled"
                for i in images
            )
            parts.append(f"{view.label}, {ATTACK_NAMES[name]}: {norms}")
    return (
        "Adversarial images and perturbations. L-infinity norms on the 0-255 "
        f"scale: {'; '.join(parts)}."
    )
