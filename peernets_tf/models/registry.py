"""The paper's networks and their baselines, by name."""

from __future__ import annotations

from collections.abc import Sequence

from peernets_tf.errors import UserError
from peernets_tf.lazy import keras
from peernets_tf.models.precision import new_layers_in

# Name: depth, and the feature maps of stages A, B and C.
_RESNETS = {
    "resnet32": (32, (16, 32, 64)),
    "resnet32_v2": (32, (16, 64, 128)),
    "resnet110": (110, (16, 32, 64)),
    "resnet110_v2": (110, (16, 64, 128)),
}
# A rival defence of Table 4: bounded ReLU, after Zantedeschi et al. (2017), and
# the ceiling of its ReLUs.
_BRELU, _CEILING = "brelu_resnet32", 4.0
MODEL_NAMES = (
    *(f"{p}{name}" for name in ("lenet5", *_RESNETS) for p in ("", "pr_")),
    _BRELU,
)


def build(
    name: str,
    input_shape: Sequence[int],
    num_classes: int,
    *,
    mean: float | Sequence[float] = 0.0,
    variance: float | Sequence[float] = 1.0,
    l2: float = 0.0,
    precision: str | None = None,
    seed: int = 0,
) -> keras.Model:
    """Builds one of the paper's networks with random weights.

    Args:
        name: str, one of `MODEL_NAMES`; `pr_` marks a PeerNet, `brelu_` a
            network whose ReLU outputs are clipped at 4.
        input_shape: tuple `(H, W, C)` of the images.
        num_classes: int, the number of logits.
        mean: float or one float per channel, subtracted from the images.
        variance: float or one float per channel; the images are divided by its
            square root.
        l2: float, the weight in the loss of half the sum of squares of the
            kernels of convolutions and dense layers (its gradient is
            `l2 * kernel`).
        precision: one of `PRECISIONS`, the Keras dtype policy of the layers;
            None for `keras.config.dtype_policy()`. In mixed precision
            weights, logits and the similarities of pixels stay in float32.
        seed: int, the seed of the dropouts in PeerRegularization layers.

    Returns:
        A `keras.Model` from float images `(B, H, W, C)` in [0, 1] to logits
        `(B, num_classes)`.

    Raises:
        UserError: if there is no such model or precision, or the images are
            too small.
    """
    if name not in MODEL_NAMES:
        raise UserError(
            f"`name` must be one of {', '.join(MODEL_NAMES)}. Received: "
            f"name={name}"
        )
    from peernets_tf.models.lenet5 import lenet5
    from peernets_tf.models.network import Network
    from peernets_tf.models.resnet import resnet

    base = name.removeprefix("pr_").removeprefix("brelu_")
    network = Network(
        name=name,
        input_shape=tuple(input_shape),
        num_classes=num_classes,
        mean=mean,
        variance=variance,
        l2=l2,
        peer_regularization=name.startswith("pr_"),
        relu_ceiling=_CEILING if name == _BRELU else None,
        seed=seed,
    )
    with new_layers_in(precision):
        if base == "lenet5":
            return lenet5(network)
        depth, widths = _RESNETS[base]
        return resnet(network, depth=depth, widths=widths)
