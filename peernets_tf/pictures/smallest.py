"""The smallest perturbation that fools each network, image by image."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import adaptive, attacks, datasets, peers
from peernets_tf.records import network_name


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """A network as an attacker sees it.

    Attributes:
        model: str, the network's name.
        backward: str, the backward pass of PeerRegularization layers that the
            attacker follows, `"exact"` or `"identity"`.
        is_peernet: bool, whether the network has such layers.
        classifier: the `Classifier`.
    """

    model: str
    backward: str
    is_peernet: bool
    classifier: attacks.Classifier

    @property
    def label(self) -> str:
        """What rows and legends call it."""
        name = network_name(self.model)
        return f"{name}, {self.backward}" if self.is_peernet else name


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What a search for the smallest perturbations found.

    Attributes:
        adversarial: float32 array of shape `(N, H, W, C)` in [0, 1], the image
            itself where nothing fooled.
        perturbations: float32 array of that shape.
        predictions: int32 array of shape `(N,)`, the predicted classes.
        fooled: bool array of shape `(N,)`.
        l2: float array of shape `(N,)`, the perturbations' L2 norms on the
            0-255 pixel scale.
        linf: the same for the L-infinity norm.
    """

    adversarial: NDArray[np.float32]
    perturbations: NDArray[np.float32]
    predictions: NDArray[np.int32]
    fooled: NDArray[np.bool_]
    l2: NDArray[np.float64]
    linf: NDArray[np.float64]


def views(models: Sequence[keras.Model]) -> list[View]:
    """Returns each network with each backward pass to judge it by.

    Gradients and predictions of a PeerNet are averaged over the graphs that it
    stores.

    Args:
        models: the Keras models.

    Returns:
        For each model a `View` with the exact backward pass and, for a PeerNet,
        another with the identity.

    Raises:
        AttackError: if a model ends in a softmax, sigmoid or tanh.
    """
    found = []
    for model in models:
        # The attacks' own checks do not see through `monte_carlo` and `bpda`.
        attacks.checks.check_ends_in_logits(model)
        is_peernet = bool(peers.peer_layers(model))
        averaged = peers.monte_carlo(model)
        for backward in ("exact", "identity") if is_peernet else ("exact",):
            seen = adaptive.bpda(averaged, backward)
            found.append(
                View(
                    model=model.name,
                    backward=backward,
                    is_peernet=is_peernet,
                    classifier=attacks.Classifier(seen),
                )
            )
    return found


def search(
    view: View,
    split: datasets.Split,
    attack: attacks.SmallestEpsilon,
    *,
    seed: int,
) -> Found:
    """Searches the smallest perturbation for each image.

    Args:
        view: the `View` of the network to fool.
        split: the `Split` of images, which the network classifies correctly.
        attack: the `SmallestEpsilon`, see `SmallestEpsilon.over`.
        seed: int, the seed of what the attack draws.
    """
    adversarial = attack(view.classifier, split.images, split.labels, seed=seed)
    perturbations = adversarial - split.images
    flat = 255 * perturbations.reshape(len(split), -1).astype(np.float64)
    # A changed backward pass leaves the predictions as they are.
    predictions = view.classifier.predict(adversarial)
    return Found(
        adversarial=adversarial,
        perturbations=perturbations,
        predictions=predictions,
        fooled=predictions != split.labels,
        l2=np.linalg.norm(flat, axis=1),
        linf=np.abs(flat).max(axis=1),
    )
