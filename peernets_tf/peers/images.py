"""Images of peers as users hold them, as one NumPy array."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from peernets_tf.errors import UserError


def to_array(images: Any) -> NDArray[Any]:
    """Returns images as a NumPy array with at least one of them.

    Args:
        images: NumPy array, tensor of the Keras backend, sequence of images, or
            an iterable such as `tf.data.Dataset`, whose elements are images
            `(H, W, C)`, batches of them, or tuples that begin with one of
            these, such as `(images, labels)`.

    Raises:
        UserError: if `images` is none of these, is a list or tuple of batches
            without labels, is empty or without end, or holds a value that is
            not a finite number.
    """
    if isinstance(images, keras.Model):
        raise UserError(
            "`images` must be images. Received: a model; set_peers(model, "
            "images) takes it first, draw_peers(images, num_peers) and "
            "RefreshPeers(images, num_peers) take none"
        )
    if not isinstance(images, Iterable) or isinstance(images, (str, bytes)):
        raise UserError(
            "`images` must be an array, a tensor or a data set of images. "
            f"Received: {images!r}"
        )
    try:
        if hasattr(images, "shape"):
            array = np.asarray(ops.convert_to_numpy(images))
        elif isinstance(images, (list, tuple)) and not _holds_labels(images):
            _check_no_batches(images)
            array = np.asarray(images)
        else:
            array = _join(images)
    except (TypeError, ValueError, NotImplementedError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            "`images` must be images of one size, without their labels. "
            f"Received: {type(images).__name__}, not an array: {error}"
        ) from error
    if array.size == 0:
        raise UserError(
            "`images` must be (N, H, W, C) with at least one image. Received: "
            f"images.shape={array.shape}"
        )
    # NumPy itself does not know bfloat16.
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise UserError(
            "`images` must hold real numbers. Received: "
            f"images.dtype={array.dtype}"
        )
    # The extremes are NaN if any value is, and need no second array.
    extremes = np.asarray([array.min(), array.max()], "float64")
    if not np.isfinite(extremes).all():
        raise UserError(
            "`images` must hold finite numbers only. Received: NaN or infinite "
            "pixels; remove the damaged images"
        )
    return array


def _holds_labels(images: Sequence[Any]) -> bool:
    """Whether a list has pairs of images and labels."""
    first = images[0] if images else None
    if not isinstance(first, tuple) or not first:
        return False
    return _rank(first[0]) in (3, 4)


def _check_no_batches(images: Sequence[Any]) -> None:
    if images and all(_rank(image) == 4 for image in images):
        raise UserError(
            "`images` must not be a list of batches, which may be one graph or "
            "several: write np.concatenate(images) for one, or np.stack(images)"
            f" for one of each batch. Received: a list of {len(images)} batches"
        )


def _rank(image: Any) -> int:
    return len(getattr(image, "shape", ()))


def _join(dataset: Iterable[Any]) -> NDArray[Any]:
    """Returns all images of a data set."""
    cardinality = getattr(dataset, "cardinality", None)
    # -1 is what tf.data calls infinite.
    if callable(cardinality) and int(cardinality()) == -1:
        raise UserError(
            "`images` must end. Received: a data set that repeats for ever; "
            "use `dataset.take(...)` or leave out `.repeat()`"
        )
    images: list[NDArray[Any]] = []
    for element in dataset:
        if isinstance(element, dict):
            raise UserError(
                "the elements of a data set must be images or (images, labels)."
                f" Received: a dictionary with the keys {sorted(element)}; "
                "use `dataset.map(lambda x: x[key])`"
            )
        if isinstance(element, (list, tuple)):
            element = element[0]
        batch = np.asarray(ops.convert_to_numpy(element))
        if batch.ndim not in (3, 4):
            raise UserError(
                "the elements of a data set must be images (H, W, C) or "
                "batches (B, H, W, C). Received: an element of shape "
                f"{batch.shape}"
            )
        images.append(batch[None] if batch.ndim == 3 else batch)
    return np.concatenate(images) if images else np.empty((0,))
