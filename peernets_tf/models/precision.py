"""The precision in which the layers of a model compute."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from peernets_tf.errors import UserError
from peernets_tf.lazy import keras

# Names of Keras dtype policies. In mixed precision weights stay in float32.
PRECISIONS = ("float32", "mixed_bfloat16")
# The policies that a layer may change.
_FLOATING = (*PRECISIONS, "mixed_float16")


def check_precision(precision: str) -> None:
    """Raises a `UserError` unless a precision is one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise UserError(
            f"`precision` must be one of {', '.join(PRECISIONS)}. Received: "
            f"{precision}"
        )


@contextlib.contextmanager
def new_layers_in(precision: str | None) -> Iterator[None]:
    """Gives the layers that are made in the block a precision.

    Args:
        precision: one of `PRECISIONS`; None for Keras's own setting.

    Raises:
        UserError: if there is no such precision.
    """
    if precision is None:
        yield
        return
    check_precision(precision)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def rebuild_in(model: keras.Model, precision: str) -> keras.Model:
    """Returns a model of the same layers, in another precision.

    Layers whose outputs are the model's compute in float32. Quantized layers
    stay as they are. The weights are new, and random.

    Args:
        model: a functional or built Sequential `keras.Model`.
        precision: one of `PRECISIONS`.

    Raises:
        UserError: if there is no such precision, the model is of another kind,
            or an output is not that of a layer.
    """
    check_precision(precision)
    outputs = {id(layer) for layer in _output_layers(model)}

    def rebuild(layer: keras.Layer | keras.Operation) -> keras.Operation:
        config = layer.get_config()
        if not isinstance(layer, keras.Layer):
            return type(layer).from_config(config)
        policy = layer.dtype_policy.name
        if policy in _FLOATING:
            policy = "float32" if id(layer) in outputs else precision
            if "dtype" in config:
                config["dtype"] = policy
        # For the layers inside a layer, too.
        with new_layers_in(policy if policy in PRECISIONS else None):
            return type(layer).from_config(config)

    return keras.models.clone_model(
        model, clone_function=rebuild, recursive=True
    )


def _output_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yields the layers that return the outputs of a model.

    Raises:
        UserError: see `rebuild_in`.
    """
    # Keras has no public name for the class of functional models.
    if not (isinstance(model, keras.Sequential) and model.built) and not (
        hasattr(model, "output_names")
    ):
        raise UserError(
            "the model must be functional, or a Sequential one that is built. "
            f"Received: {type(model).__name__} {model.name}"
        )
    # A Sequential model does not name its outputs.
    names = getattr(model, "output_names", [model.layers[-1].name])
    layers = {layer.name: layer for layer in model.layers}
    for name in names:
        if name not in layers:
            raise UserError(
                f"the outputs of {model.name} must be those of layers. "
                f"Received: that of the operation {name}"
            )
        if isinstance(layers[name], keras.Model):
            yield from _output_layers(layers[name])
        else:
            yield layers[name]
