"""A universal perturbation that is known already, and its strength."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier


def apply_perturbation(
    images: NDArray[Any], perturbation: NDArray[Any]
) -> NDArray[np.float32]:
    """Returns images plus a perturbation, clipped to [0, 1].

    Args:
        images: float array of shape `(B, H, W, C)` in [0, 1].
        perturbation: float array of shape `(H, W, C)`.
    """
    return np.clip(images + perturbation, 0, 1).astype(np.float32)


def epsilon_from_rho(images: NDArray[Any], rho: float) -> float:
    """Returns the L2 radius that is rho times the mean L2 norm of images.

    Source: Section 4.3.2 of the paper.

    Args:
        images: float array of shape `(N, H, W, C)`, the training images.
        rho: float, at least 0.
    """
    flat = images.reshape(len(images), -1)
    return rho * float(np.mean(np.linalg.norm(flat, axis=1)))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FixedPerturbation(Attack):
    """Adds the same perturbation to every image, clipped to [0, 1].

    Attributes:
        perturbation: float32 array of shape `(H, W, C)`.
        source: str, how it was made, or its file and hash.
        norm: `"l2"` or `"linf"`, the norm in which `epsilon` measures it.
    """

    name: ClassVar[str] = "universal.file"
    follows_gradient: ClassVar[bool] = False
    uses_labels: ClassVar[bool] = False
    is_universal: ClassVar[bool] = True
    internal: ClassVar[frozenset[str]] = frozenset({"perturbation", "source"})
    loss: ClassVar[None] = None
    targeted: ClassVar[bool] = False

    perturbation: NDArray[np.float32] = dataclasses.field(repr=False)
    source: str
    norm: str = dataclasses.field(default="l2", repr=False)

    @property
    def epsilon(self) -> float:
        """The norm of the perturbation."""
        order = np.inf if self.norm == "linf" else 2
        return float(np.linalg.norm(self.perturbation.reshape(-1), order))

    def _perturb(
        self,
        classifier: Classifier,
        images: NDArray[np.float32],
        labels: Any,
        *,
        seed: int,
        epsilon: NDArray[np.float32] | None,
    ) -> NDArray[np.float32]:
        del classifier, labels, seed, epsilon
        return apply_perturbation(images, self.perturbation)
