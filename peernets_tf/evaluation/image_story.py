"""One image's story: what a model says of it, clean and under attack."""

import dataclasses

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf import adaptive, attacks, peers
from peernets_tf.attacks import checks
from peernets_tf.errors import UserError
from peernets_tf.evaluation.explanation import Explanation, PeerGraph, explain
from peernets_tf.peers.checks import check_images_fit

_STEPS = 20
# L-infinity radii for images in [0, 1]: those that MNIST and CIFAR-10 are
# usually attacked with.
_GREY_EPSILON = 0.3
_COLOR_EPSILON = 8 / 255


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImageView:
    """B images and what a model says of them.

    Attributes:
        backward: str or None, the backward pass that the attack on these
            images followed; None for the clean images.
        images: float32 array of shape `(B, H, W, C)` in [0, 1].
        probabilities: float array of shape `(B, classes)`.
        explanation: the `Explanation`, None for a model without peers.
    """

    backward: str | None
    images: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    explanation: Explanation | None

    @property
    def predictions(self) -> NDArray[np.int_]:
        """The predicted classes `(B,)`."""
        return np.argmax(self.probabilities, axis=-1)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImageStory:
    """What a model says of B images, clean and under attack.

    Attributes:
        model: str, the name of the model.
        attack: the `PGD`, away from the class that the model predicts for the
            clean image.
        graph: the `PeerGraph` of all predictions and attacks; None for a model
            without peers.
        views: tuple of `ImageView`, the clean images first.
    """

    model: str
    attack: attacks.PGD
    graph: PeerGraph | None
    views: tuple[ImageView, ...]


def image_shape(model: keras.Model) -> tuple[int, int, int]:
    """Returns the shape `(H, W, C)` of the images that a model takes.

    Raises:
        UserError: if it does not take grey or RGB images of one size.
    """
    shape = getattr(model, "input_shape", None)
    if (
        not isinstance(shape, tuple)
        or len(shape) != 4
        or None in shape[1:]
        or shape[-1] not in (1, 3)
    ):
        raise UserError(
            "the model must take images of shape (B, H, W, 1) or (B, H, W, 3) "
            f"with a fixed size. Received: {model.name} with inputs of shape "
            f"{shape}; give another model"
        )
    return shape[1:]


def default_attack(channels: int) -> attacks.PGD:
    """Returns PGD-20 in L-infinity, for grey or colour images.

    Args:
        channels: int, 1 for epsilon 0.3, otherwise 8/255.
    """
    epsilon = _GREY_EPSILON if channels == 1 else _COLOR_EPSILON
    return attacks.PGD(epsilon=epsilon, steps=_STEPS)


def tell_story(
    model: keras.Model,
    images: NDArray[np.float32],
    graph: PeerGraph | None = None,
    *,
    backwards: tuple[str, ...] = ("exact", "identity"),
    seed: int = 0,
) -> ImageStory:
    """Classifies and explains images, attacks them, and does it again.

    Args:
        model: a built Keras model from images in [0, 1] to logits; not
            changed.
        images: float32 array of shape `(B, H, W, C)`.
        graph: the `PeerGraph` of the model; None for a model without peers.
        backwards: tuple of `adaptive.BACKWARDS`, the backward passes of the
            attacks; a model without peers has only `"exact"`.
        seed: int, the seed of the attacks' random starts.

    Raises:
        AttackError: if logits or gradients are not finite.
        UserError: see `explain`.
    """
    check_images_fit(model, images)
    attack = default_attack(images.shape[-1])
    clean = _view(model, images, graph, None)
    attacked_model = model
    if graph is None:
        backwards = ("exact",)
    else:
        attacked_model = peers.monte_carlo(model, graph.bank)
    views = [clean]
    for backward in backwards:
        attacked = attack(
            adaptive.bpda(attacked_model, backward),
            images,
            clean.predictions,
            seed=seed,
        )
        views.append(_view(model, attacked, graph, backward))
    return ImageStory(
        model=model.name, attack=attack, graph=graph, views=tuple(views)
    )


def _view(
    model: keras.Model,
    images: NDArray[np.float32],
    graph: PeerGraph | None,
    backward: str | None,
) -> ImageView:
    explanation = None
    if graph is None:
        tensor = ops.convert_to_tensor(images)
        logits = ops.convert_to_numpy(model(tensor, training=False))
    else:
        explanation = explain(model, images, graph)
        logits = explanation.logits
    checks.check_logits(logits)
    return ImageView(
        backward=backward,
        images=images,
        probabilities=ops.convert_to_numpy(ops.softmax(logits)),
        explanation=explanation,
    )
