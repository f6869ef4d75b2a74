"""The precision in which the layers of a model compute."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from peernets_tf.errors import UserError
from peernets_tf.lazy import keras

# Names of Keras dtype policies. In mixed precision weights stay in float32.
PRECISIONS = ("float32", "mixed_bfloat16")


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


def precision_of(model: keras.Model) -> str | None:
    """Returns the precision of a model, None if it is float32.

    Args:
        model: a Keras model. Of a model that mixes several precisions, all are
            named.
    """
    names = {layer.dtype_policy.name for layer in _layers(model)} - {"float32"}
    return "+".join(sorted(names)) or None


def rebuild_in(model: keras.Model, precision: str) -> keras.Model:
    """Returns a model of the same layers, in another precision.

    Layers whose outputs are the model's stay in float32, as do those whose
    policy is not one of `PRECISIONS`. The weights are new, and random.

    Args:
        model: a functional or built Sequential `keras.Model`.
        precision: one of `PRECISIONS`.

    Raises:
        UserError: if there is no such precision, or the model is of another
            kind.
    """
    check_precision(precision)
    outputs = {id(layer) for layer in _output_layers(model)}

    def rebuild(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if layer.dtype_policy.name in PRECISIONS:
            is_output = id(layer) in outputs
            config["dtype"] = "float32" if is_output else precision
        return type(layer).from_config(config)

    try:
        return keras.models.clone_model(
            model, clone_function=rebuild, recursive=True
        )
    except ValueError as error:
        raise UserError(
            "`precision` is for functional and built Sequential models, whose "
            f"layers are known. Received: {type(model).__name__}"
        ) from error


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yields the layers of a model and of the models inside it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _output_layers(model: keras.Model) -> Iterator[keras.Layer]:
    """Yields the layers that return the outputs of a model."""
    # A Sequential model does not name them.
    names = getattr(model, "output_names", [model.layers[-1].name])
    for name in names:
        layer = model.get_layer(name)
        if isinstance(layer, keras.Model):
            yield from _output_layers(layer)
        else:
            yield layer
