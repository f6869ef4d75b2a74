"""The batches of a training: shuffled, augmented, the same after a resume."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import seeds
from peernets_tf.datasets.loading import Split
from peernets_tf.errors import UserError
from peernets_tf.seeds import Stream


class Batches(keras.utils.PyDataset):
    """The batches of one training epoch, shuffled and augmented.

    All random numbers depend only on the seed, the epoch and the batch, so a
    resumed training sees the same images. The last partial batch is left out,
    because a smaller batch would be a smaller graph.

    Args:
        split: the `Split` to draw from.
        batch_size: int, images per batch.
        seed: int, the seed of the order and the augmentation.
        augment: bool, whether to shift by up to 4 pixels and mirror.
        noise_std: float, the standard deviation of Gaussian noise that is added
            to images anew in each epoch, for images in [0, 1]. The sum is
            clipped to [0, 1]. Source: Zantedeschi et al. (2017), Gaussian data
            augmentation, who add ten noisy copies of each image instead.
        noise_share: float in [0, 1], the share of images, drawn anew in each
            epoch, that get noise.

    Attributes:
        epoch: int, the epoch whose order is drawn, counted from 0.

    Raises:
        UserError: if `batch_size` is larger than the split.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        *,
        seed: int,
        augment: bool,
        noise_std: float = 0.0,
        noise_share: float = 1.0,
    ) -> None:
        super().__init__()
        if batch_size > len(split):
            raise UserError(
                "`batch_size` must not be larger than the training set. "
                f"Received: batch_size={batch_size}, images={len(split)}"
            )
        self._split = split
        self._batch_size = batch_size
        self._seed = seed
        self._augment = augment
        self._noise_std = noise_std
        self._noise_share = noise_share
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draws the order of one epoch, counted from 0."""
        self.epoch = epoch
        rng = seeds.generator(Stream.BATCH_ORDER, self._seed, epoch)
        self._order = rng.permutation(len(self._split))

    def __len__(self) -> int:
        return len(self._split) // self._batch_size

    def __getitem__(
        self, index: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        start = index * self._batch_size
        chosen = self._order[start : start + self._batch_size]
        images = self._split.images[chosen]
        if self._augment:
            rng = seeds.generator(
                Stream.AUGMENTATION, self._seed, self.epoch, index
            )
            images = augment(images, rng)
        if self._noise_std:
            rng = seeds.generator(
                Stream.TRAINING_NOISE, self._seed, self.epoch, index
            )
            noisy = add_noise(images, rng, self._noise_std)
            stays = rng.random(len(images)) >= self._noise_share
            noisy[stays] = images[stays]
            images = noisy
        return images, self._split.labels[chosen]


def augment(
    images: NDArray[Any], rng: np.random.Generator, max_shift: int = 4
) -> NDArray[Any]:
    """Shifts each image by up to `max_shift` pixels and mirrors half of them.

    Args:
        images: float array of shape `(B, H, W, C)`.
        rng: `numpy.random.Generator`.
        max_shift: int, the pixels of zeros padded on each side before the crop.

    Returns:
        Array of the same shape.
    """
    count, height, width, _ = images.shape
    sides = (max_shift, max_shift)
    padded = np.pad(images, ((0, 0), sides, sides, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(
        padded, (height, width), axis=(1, 2)
    )
    top, left = rng.integers(0, 2 * max_shift + 1, (2, count))
    crops = windows[np.arange(count), top, left].transpose(0, 2, 3, 1)
    mirrored = rng.random(count) < 0.5
    crops[mirrored] = crops[mirrored, :, ::-1]
    return np.ascontiguousarray(crops)


def add_noise(
    images: NDArray[Any], rng: np.random.Generator, noise_std: float
) -> NDArray[Any]:
    """Adds Gaussian noise to images, and clips them to [0, 1].

    Args:
        images: float array of shape `(B, H, W, C)` in [0, 1].
        rng: `numpy.random.Generator`.
        noise_std: float, the standard deviation of each value's noise.

    Returns:
        Array of the same shape and type.
    """
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    noisy = np.clip(images + noise_std * noise, 0, 1)
    return noisy.astype(images.dtype, copy=False)
