"""Directions along which the slope of a loss is measured."""

import abc
import dataclasses
import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import draws
from peernets_tf.errors import UserError
from peernets_tf.lazy import ops
from peernets_tf.types import Tensor


# Without `eq`, or components of equal count would be equal.
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Directions(abc.ABC):
    """Directions in the space of images, one row of D = H W C numbers each.

    Attributes:
        are_sampled: bool, whether the rows are independent draws of mean 0 and
            covariance 1. The mean of slopes times rows then estimates the
            gradient. Otherwise the rows are orthogonal, and the sum of slopes
            times rows over squared lengths is the projection of the gradient
            onto them.
        count: int, the number of rows.
    """

    are_sampled: ClassVar[bool]

    count: int

    def check_length(self, length: int) -> None:
        """Raises a `UserError` unless images of D values have such rows."""
        if self.count > length and not self.are_sampled:
            raise UserError(
                f"there must be at most {length} groups or components, one for "
                f"each value of an image. Received: {self.count}"
            )

    @abc.abstractmethod
    def drawn(self, key: Tensor, length: int) -> Tensor:
        """Draws what all rows of one estimate share; see `rows`.

        Args:
            key: uint32 tensor of shape `()`, see `draws`.
            length: int, D.
        """

    @abc.abstractmethod
    def rows(
        self, drawn: Tensor, first: Tensor, size: int, length: int
    ) -> Tensor:
        """Returns some rows, a float32 tensor of shape `(size, D)`.

        Args:
            drawn: what `drawn` returned.
            first: int or int tensor, the number of the first row.
            size: int.
            length: int, D.
        """


@dataclasses.dataclass(frozen=True, kw_only=True)
class Groups(Directions):
    """Groups of coordinates; a row is 1 in its group and 0 elsewhere.

    Attributes:
        are_random: bool, whether the coordinates are shuffled before they are
            dealt to the groups, in turn.
        count: int, at most D. With D groups each is one coordinate.
    """

    are_sampled: ClassVar[bool] = False

    are_random: bool = False

    def drawn(self, key: Tensor, length: int) -> Tensor:
        """Returns the group of each coordinate, int32 `(D,)`."""
        places = ops.arange(length, dtype="int32")
        if self.are_random:
            places = draws.choose(key, length, length)
        return ops.mod(places, self.count)

    def rows(
        self, drawn: Tensor, first: Tensor, size: int, length: int
    ) -> Tensor:
        numbers = first + ops.arange(size, dtype="int32")
        return ops.cast(drawn == numbers[:, None], "float32")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PrincipalComponents(Directions):
    """Principal components of images; see `principal_components`.

    Attributes:
        vectors: float32 array of shape `(count, D)`, orthonormal rows.
        count: int.
    """

    are_sampled: ClassVar[bool] = False

    vectors: NDArray[np.float32] = dataclasses.field(repr=False)

    def check_length(self, length: int) -> None:
        if self.vectors.shape[1] != length:
            raise UserError(
                f"components must be those of images of {length} values. "
                f"Received: components of {self.vectors.shape[1]} values"
            )

    def drawn(self, key: Tensor, length: int) -> Tensor:
        del key, length
        return ops.convert_to_tensor(self.vectors)

    def rows(
        self, drawn: Tensor, first: Tensor, size: int, length: int
    ) -> Tensor:
        return ops.slice(drawn, [first, 0], [size, length])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gaussian(Directions):
    """Rows of independent standard normal numbers."""

    are_sampled: ClassVar[bool] = True

    def drawn(self, key: Tensor, length: int) -> Tensor:
        del length
        return key

    def rows(
        self, drawn: Tensor, first: Tensor, size: int, length: int
    ) -> Tensor:
        return draws.normal(_keys(drawn, first, size), length)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signs(Gaussian):
    """Rows of independent numbers 1 and -1, each with probability 1/2."""

    def rows(
        self, drawn: Tensor, first: Tensor, size: int, length: int
    ) -> Tensor:
        numbers = draws.uniform(_keys(drawn, first, size), length)
        return ops.where(numbers < 0.5, -1.0, 1.0)


def principal_components(
    images: NDArray[np.float32], count: int
) -> PrincipalComponents:
    """Returns the principal components of images, of largest variance first.

    Args:
        images: float array of shape `(N, H, W, C)`.
        count: int, at most N - 1 and at most H W C.

    Raises:
        UserError: if images have fewer components.
    """
    check_components(count, images.shape)
    flat = images.reshape(len(images), -1).astype(np.float32)
    centered = flat - flat.mean(axis=0)
    if len(flat) < flat.shape[1]:
        # Without a matrix of H W C rows, which few large images do not need.
        vectors = np.linalg.svd(centered, full_matrices=False)[2][:count]
    else:
        _, vectors = np.linalg.eigh(centered.T @ centered)
        # eigh sorts variances upwards.
        vectors = vectors.T[::-1][:count]
    return PrincipalComponents(
        count=count, vectors=np.ascontiguousarray(vectors, np.float32)
    )


def check_components(count: int, shape: tuple[int, ...]) -> None:
    """Raises a `UserError` if images have fewer principal components.

    Args:
        count: int.
        shape: tuple, the shape `(N, H, W, C)` of the images.
    """
    length = math.prod(shape[1:])
    largest = min(shape[0] - 1, length)
    if not 0 < count <= largest:
        raise UserError(
            f"`num_components` must be from 1 to {largest} for {shape[0]} "
            f"images of {length} values. Received: {count}"
        )


def _keys(key: Tensor, first: Tensor, size: int) -> Tensor:
    """Returns a key for each row, uint32 `(size, 1)`."""
    numbers = first + ops.arange(size, dtype="int32")
    return draws.fold(key, numbers[:, None])
