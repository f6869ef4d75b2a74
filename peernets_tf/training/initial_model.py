"""The saved model whose weights a training starts from."""

from __future__ import annotations

from peernets_tf import models, records
from peernets_tf.lazy import keras


def start_from(
    name_or_path: str | None, model: keras.Model
) -> records.InitialModel | None:
    """Copies the weights of a saved model to the layers of the same names.

    Args:
        name_or_path: str or None, a preset or a .keras file; None changes
            nothing.
        model: a built `keras.Model`, changed in place.

    Returns:
        What the saved model is, or None.

    Raises:
        UserError: if the file is not a model, or its layers do not fit.
    """
    if name_or_path is None:
        return None
    initial = models.load(models.preset_path(name_or_path))
    copied = models.copy_weights(initial, model)
    of_all = sum(bool(layer.weights) for layer in model.layers)
    print(
        f"Starting from {name_or_path}: weights of {copied} of {of_all} layers",
        flush=True,
    )
    return describe(name_or_path, initial)


def describe(name_or_path: str, initial: keras.Model) -> records.InitialModel:
    """Returns what a record says of a model that a training started from.

    Args:
        name_or_path: str, the preset or the .keras file that it was loaded
            from.
        initial: the `keras.Model`.
    """
    record = records.of_model(models.preset_path(name_or_path))
    digest = models.weights_sha256(initial)
    # A model of an earlier epoch may lie beside the record of the last.
    is_of_it = record is not None and record.weights_sha256 == digest
    return records.InitialModel(
        path=name_or_path,
        model=initial.name,
        epochs=record.total_epochs if record and is_of_it else None,
        weights_sha256=digest,
    )
