"""Checks that reject meaningless attacks and evaluations."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import losses, norms
from peernets_tf.errors import AttackError, UserError
from peernets_tf.lazy import keras, ops

# What `check_finite` calls what a gradient attack computes.
LOSS_GRADIENT = "losses, logits and gradients"
# Attacks compute in float32 and int32.
_LARGEST_FLOAT = float(np.finfo(np.float32).max)
_LARGEST_INT = 2**31 - 1
# Final activations that saturate, so their outputs are not logits.
_SATURATING = (
    "hard_sigmoid",
    "hard_tanh",
    "sigmoid",
    "softmax",
    "softsign",
    "sparse_sigmoid",
    "sparsemax",
    "tanh",
)
# The smallest value of the arguments of attacks, by name.
_SMALLEST = {
    "epsilon": 0,
    "steps": 1,
    "step_size": 0,
    "restarts": 1,
    "max_steps": 1,
    "overshoot": 0,
    "num_classes": 2,
    "passes": 1,
    "queries": 1,
    "num_targets": 0,
    "expectation": 1,
    "num_groups": 0,
    "num_components": 0,
    "samples": 1,
    "delta": 0,
    "learning_rate": 0,
    "p_init": 0,
    "batch_size": 1,
    "fooling_rate": 0,
    "largest_epsilon": 0,
    "num_epsilons": 1,
    "guides_per_pixel": 1,
    "steps_per_choice": 1,
    "ratio": 1,
    "halvings": 0,
}
_COUNTS = {
    "steps",
    "restarts",
    "max_steps",
    "num_classes",
    "passes",
    "queries",
    "num_targets",
    "expectation",
    "num_groups",
    "num_components",
    "samples",
    "batch_size",
    "num_epsilons",
    "halvings",
    "guides_per_pixel",
    "steps_per_choice",
}
# Arguments that must be above 0, and why.
_POSITIVE = {
    "budget": "where 1 is the published suite",
    "delta": "since differences are divided by it",
    "learning_rate": "or the attack does not move",
    "step_size": "or the attack does not move",
}


def check_arguments(attack: Any) -> None:
    """Raises a `UserError` if an argument of an attack is out of range."""
    for field in dataclasses.fields(attack):
        value = getattr(attack, field.name)
        if field.name == "norm":
            norms.check_norm(value)
        elif field.name == "loss":
            losses.check_loss(value)
        elif field.name in _SMALLEST and (
            value is not None or field.default is not None
        ):
            check_number(
                field.name,
                value,
                smallest=_SMALLEST[field.name],
                is_count=field.name in _COUNTS,
            )
            if field.name in ("epsilon", "largest_epsilon"):
                check_radius(value, attack.norm, name=field.name)


def check_radius(radius: float, norm: str, *, name: str = "epsilon") -> None:
    """Raises a `UserError` unless a radius fits images in [0, 1].

    Args:
        radius: float.
        norm: `"linf"` or `"l2"`.
        name: str, what errors call the radius.
    """
    check_number(name, radius)
    if norm == "linf" and radius > 1:
        raise UserError(
            f"`{name}` must be at most 1 in L-infinity, because images lie in "
            f"[0, 1]: write 8/255 for 8 on the 0-255 pixel scale. Received: "
            f"{name}={radius:g}"
        )


def check_number(
    name: str, value: Any, *, smallest: int = 0, is_count: bool = False
) -> None:
    """Raises a `UserError` if an argument has a wrong type or is out of range.

    Args:
        name: str, what the argument is called.
        value: what was given for it.
        smallest: int, its smallest value.
        is_count: bool, whether it must be an int32, not a float32.
    """
    types = (int, np.integer) if is_count else (int, float, np.number)
    if isinstance(value, bool) or not isinstance(value, types):
        kind = "an integer" if is_count else "a number"
        raise UserError(f"`{name}` must be {kind}. Received: {name}={value!r}")
    largest = _LARGEST_INT if is_count else _LARGEST_FLOAT
    if name in ("fooling_rate", "p_init"):
        largest = 1
    if name in _POSITIVE and value <= 0:
        raise UserError(
            f"`{name}` must be above 0, {_POSITIVE[name]}. Received: "
            f"{name}={value}"
        )
    # False for NaN.
    if not smallest <= value <= largest:
        raise UserError(
            f"`{name}` must be finite, at least {smallest} and at most "
            f"{largest if is_count else f'{largest:g}'}. Received: "
            f"{name}={value}"
        )


def check_images(images: NDArray[Any]) -> None:
    """Raises an `AttackError` unless images have rank 4 and lie in [0, 1]."""
    if images.ndim != 4 or len(images) == 0:
        raise AttackError(
            "images must have shape (B, H, W, C) with B at least 1. Received: "
            f"images.shape={images.shape}"
        )
    smallest, largest = np.min(images), np.max(images)
    if np.isnan(smallest):
        raise AttackError("images must lie in [0, 1]. Received: values of NaN")
    if not (smallest >= 0 and largest <= 1):
        raise AttackError(
            "images must lie in [0, 1]: divide 8-bit pixels by 255. Received: "
            f"values in [{smallest}, {largest}]"
        )


def checked_labels(
    labels: Any, count: int, num_classes: int | None
) -> NDArray[np.int32]:
    """Returns the classes of images as int32 of shape `(B,)`.

    Args:
        labels: int array of shape `(B,)` or `(B, 1)`.
        count: int, B, the number of images.
        num_classes: int or None, the number of classes if it is known.

    Raises:
        AttackError: if there is not one class for each image.
    """
    labels = np.asarray(labels)
    is_column = labels.shape == (count, 1)
    if not (is_column or labels.shape == (count,)) or not np.issubdtype(
        labels.dtype, np.integer
    ):
        advice = ""
        if labels.ndim == 2 and labels.shape[1] > 1:
            advice = "; of one-hot labels take np.argmax(labels, axis=1)"
        raise AttackError(
            f"labels must be integers of shape ({count},) or ({count}, 1), one "
            f"class for each image. Received: {labels.dtype} of shape "
            f"{labels.shape}{advice}"
        )
    largest = _LARGEST_INT if num_classes is None else num_classes - 1
    if labels.min() < 0 or labels.max() > largest:
        whose = "" if num_classes is None else ", the model's classes"
        raise AttackError(
            f"labels must lie between 0 and {largest}{whose}. Received: labels "
            f"in [{labels.min()}, {labels.max()}]"
        )
    return labels.reshape(count).astype(np.int32)


def check_outputs(shape: Any) -> None:
    """Raises an `AttackError` unless a model returns logits `(B, classes)`.

    Args:
        shape: the shape of the model's outputs; of several outputs a list,
            tuple or dict of shapes.
    """
    if isinstance(shape, dict) or any(
        isinstance(part, tuple | list | dict) for part in shape
    ):
        raise AttackError(
            "the model must return one tensor of logits: attack one of its "
            "outputs, such as keras.Model(model.input, model.outputs[0]). "
            f"Received: {len(shape)} outputs"
        )
    if len(shape) != 2:
        raise AttackError(
            "logits must have shape (B, classes). Received: logits of shape "
            f"{tuple(shape)}"
        )
    if shape[1] == 1:
        raise AttackError(
            "the model must have a logit for each of at least two classes: "
            "for one logit z, return [0, z]. Received: logits of shape "
            f"{tuple(shape)}"
        )


def check_channels_last(shape: tuple[int, ...]) -> None:
    """Raises an `AttackError` if images look like `(B, C, H, W)`.

    The attack `square` would change squares of other axes, and would not fail.

    Args:
        shape: tuple of ints, the shape of the images.
    """
    if shape[1] in (1, 3) and shape[-1] > 4:
        raise AttackError(
            "square changes squares of pixels, so it needs images (B, H, W, "
            "C): transpose them, and attack keras.Model(inputs, "
            "model(keras.layers.Permute((3, 1, 2))(inputs))) with inputs = "
            f"keras.Input((H, W, C)). Received: images.shape={shape}, which "
            "looks like (B, C, H, W)"
        )


def are_probabilities(outputs: NDArray[Any]) -> bool:
    """Whether the outputs `(B, classes)` of a model are probabilities."""
    # The sums of probabilities in bfloat16 miss 1 by up to 0.004.
    sums = outputs.astype(np.float32).sum(axis=1)
    return bool(np.all(outputs >= 0) and np.allclose(sums, 1, atol=1e-2))


def check_logits(logits: Any) -> None:
    """Raises an `AttackError` if the outputs of a model are probabilities."""
    if are_probabilities(ops.convert_to_numpy(logits)):
        raise _no_logits("outputs that are probabilities")


def check_ends_in_logits(
    logits_fn: Any, *, allow_softmax: bool = False
) -> None:
    """Raises an `AttackError` if a Keras model ends in a saturating activation.

    Functional and Sequential models are looked into, also nested ones.

    Args:
        logits_fn: function from images to logits, such as a Keras model.
        allow_softmax: bool, whether a softmax is accepted.
    """
    last = _last_operation(logits_fn)
    activation = getattr(last, "activation", None)
    name = getattr(activation, "__name__", "")
    if activation is None:
        # A layer or operation such as `Softmax`, or `keras.ops.hard_sigmoid`.
        kind = type(last).__name__.lower()
        name = next((n for n in _SATURATING if n.replace("_", "") == kind), "")
    if name in _SATURATING and not (allow_softmax and name == "softmax"):
        raise _no_logits(
            f"a model that ends in the {name} of {last.name}", name
        )


def _last_operation(model: Any) -> Any:
    """Returns the operation that computes the output of a Keras model.

    Of a functional or Sequential model that is the last operation, if it has
    one output. Everything else is returned as it is.
    """
    while hasattr(model, "operations") or isinstance(model, keras.Sequential):
        # A Sequential model that is not built has no outputs yet.
        if len(getattr(model, "outputs", ())) != 1:
            return model
        if isinstance(model, keras.Sequential):
            model = model.layers[-1]
        else:
            # Keras calls an output by the name of its operation.
            (name,) = model.output_names
            model = next(x for x in model.operations if x.name == name)
    return model


def _no_logits(received: str, activation: str = "softmax") -> AttackError:
    return AttackError(
        f"the model must end in logits: remove its {activation}, whose "
        f"saturation hides gradients. Received: {received}"
    )


def check_predictions(predictions: NDArray[Any]) -> None:
    """Raises an `AttackError` if a prediction is -1, for logits not finite."""
    check_finite(predictions >= 0, "logits")


def check_finite(is_finite: NDArray[Any], what: str) -> None:
    """Raises an `AttackError` unless something is finite at every image.

    Args:
        is_finite: bool array of shape `(B,)`.
        what: str, what the model computed.
    """
    if not np.all(is_finite):
        raise AttackError(
            f"the model's {what} must be finite, or its robustness cannot be "
            f"measured: look for NaN in its weights and layers. Received: "
            f"{what} not finite at {np.sum(~is_finite)} of {len(is_finite)} "
            "images"
        )


def check_ball(
    change: NDArray[Any], epsilon: float | None, norm: str | None
) -> None:
    """Raises an `AttackError` if a perturbation leaves its ball.

    Args:
        change: float array of shape `(B, ...)`, the perturbations.
        epsilon: float or None, the radius of the ball; None checks nothing.
        norm: `"linf"`, `"l2"` or None; None checks nothing.
    """
    if epsilon is None or norm is None:
        return
    largest = float(np.max(ops.convert_to_numpy(norms.norms(change, norm))))
    # Adding an image and subtracting it again rounds.
    if not largest <= epsilon * (1 + 1e-5) + 1e-6:
        raise AttackError(
            f"perturbations must stay in the {norm} ball of radius {epsilon}. "
            f"Received: a perturbation of norm {largest}"
        )
