"""A universal perturbation that is known already, and its strength."""

import dataclasses
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks.base import Attack
from peernets_tf.attacks.classifier import Classifier
from peernets_tf.errors import AttackError, UserError

# The readings of x in the mean norm E||x||_2.
RHO_READINGS = ("unit", "centered", "standardized")
# Images whose norms are computed at once.
_CHUNK = 1000


def apply_perturbation(
    images: NDArray[Any], perturbation: NDArray[Any], *, clip: bool = True
) -> NDArray[np.float32]:
    """Adds a perturbation to images.

    Args:
        images: float array of shape `(B, H, W, C)`.
        perturbation: float array of shape `(H, W, C)`.
        clip: bool, whether the sums are clipped to [0, 1].
    """
    perturbed = images + perturbation
    if clip:
        perturbed = np.clip(perturbed, 0, 1)
    return perturbed.astype(np.float32)


def epsilon_from_rho(
    images: NDArray[Any], rho: float, rho_of: str = "unit"
) -> float:
    """Returns the L2 radius rho E||x||_2 over images (Section 4.3.2).

    The paper does not say which x it means.

    Args:
        images: float array of shape `(N, H, W, C)` in [0, 1].
        rho: float, the radius over the mean norm.
        rho_of: the x of the mean norm. `"unit"`: the image in [0, 1].
            `"centered"`: the image minus 1/2. `"standardized"`: the image minus
            the mean of each channel, over the channel's standard deviation; the
            radius is carried back to pixels with the mean of the standard
            deviations.

    Raises:
        UserError: if `rho_of` is not one of `RHO_READINGS`.
    """
    check_rho_of(rho_of)
    shift: Any = 0.0
    scale: Any = 1.0
    if rho_of == "centered":
        shift = 0.5
    if rho_of == "standardized":
        axes = tuple(range(images.ndim - 1))
        shift = images.mean(axes, dtype=np.float64).astype(np.float32)
        scale = images.std(axes, dtype=np.float64).astype(np.float32)
        # A channel that is the same in all images has norm 0 in any scale.
        scale = np.where(scale > 0, scale, 1.0)
    norms = []
    for i in range(0, len(images), _CHUNK):
        x = (images[i : i + _CHUNK] - shift) / scale
        norms.append(np.linalg.norm(x.reshape(len(x), -1), axis=1))
    mean = float(np.mean(np.concatenate(norms)))
    return rho * mean * float(np.mean(scale))


def check_rho_of(rho_of: str) -> None:
    """Raises a `UserError` unless a reading is one of `RHO_READINGS`."""
    if rho_of not in RHO_READINGS:
        raise UserError(
            f"`rho_of` must be one of {RHO_READINGS}. Received: {rho_of}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FixedPerturbation(Attack):
    """Adds the same perturbation to every image.

    Attributes:
        perturbation: float32 array of shape `(H, W, C)`.
        source: str, how it was made, or its file and hash.
        norm: `"l2"` or `"linf"`, the norm in which `epsilon` measures it.
        clip: bool, whether the images are clipped to [0, 1].

    Raises:
        UserError: if a value is not finite.
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
    clip: bool = dataclasses.field(default=True, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not np.all(np.isfinite(self.perturbation)):
            raise UserError(
                "`perturbation` must be finite. Received: NaN or infinite "
                f"values from {self.source}"
            )

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
    ) -> NDArray[np.float32]:
        del classifier, labels, seed
        if self.perturbation.shape != images.shape[1:]:
            raise AttackError(
                f"the perturbation must have the shape {images.shape[1:]} of "
                f"an image. Received: {self.perturbation.shape}"
            )
        return apply_perturbation(images, self.perturbation, clip=self.clip)
