"""Figures 4 and 8: universal perturbations on networks and test images."""

import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import attacks, datasets, peers, records
from peernets_tf.errors import UserError
from peernets_tf.pictures.attack_kinds import attack_name
from peernets_tf.pictures.examples import correct_images, of_different_classes
from peernets_tf.pictures.style import Picture
from peernets_tf.pictures.universal_grids import (
    Row,
    Shown,
    images_picture,
    perturbations_picture,
)
from peernets_tf.records import network_name

# Test images among which those of different classes are looked for.
_NUM_CANDIDATES = 50
_BACKWARDS = (
    "For a PeerNet, exact means that the fit followed its own gradient, "
    "identity that it followed a backward pass that skips its PR layers (BPDA)."
)
_FIT = re.compile(r"passes=(\d+).* on (\d+) training images")


def universal_pictures(
    models: Sequence[keras.Model],
    perturbations: Sequence[Mapping[float, NDArray[np.float32]]],
    dataset: datasets.Dataset,
    *,
    backwards: Sequence[str] = (),
    budget: str = "",
    num_images: int = 3,
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
    # A network may come twice, and is compiled once.
    classifiers = {
        model: attacks.Classifier(peers.monte_carlo(model))
        for model in dict.fromkeys(models)
    }
    correct = correct_images(
        list(classifiers.values()), dataset.test, _NUM_CANDIDATES
    )
    clean = of_different_classes(correct, num_images)
    shown = Shown(
        dataset=dataset.name,
        rhos=rhos,
        clean=clean,
        rows=tuple(
            _row(
                model,
                classifiers[model],
                [found[rho] for rho in rhos],
                clean,
                backward,
            )
            for model, found, backward in zip(
                models,
                perturbations,
                backwards or [""] * len(models),
                strict=True,
            )
        ),
    )
    if any("\n" in row.label for row in shown.rows):
        budget = f"{budget} {_BACKWARDS}".lstrip()
    return [
        perturbations_picture(shown, budget),
        images_picture(shown, budget),
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
    # More than one are the most: a fit stops once it fools enough images.
    passes_text = "1 pass" if passes == 1 else f"up to {passes} passes"
    return (
        f"Fitted by {attack_name(record)} in {passes_text} over {images:,} "
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
    classifier: attacks.Classifier,
    perturbations: Sequence[NDArray[np.float32]],
    clean: datasets.Split,
    backward: str,
) -> Row:
    images = np.stack(
        [attacks.apply_perturbation(clean.images, v) for v in perturbations]
    )
    label = network_name(model.name)
    if backward and peers.peer_layers(model):
        label += f"\n{backward}"
    return Row(
        model=model.name,
        label=label,
        perturbations=tuple(perturbations),
        images=images,
        predictions=np.stack([classifier.predict(batch) for batch in images]),
    )
