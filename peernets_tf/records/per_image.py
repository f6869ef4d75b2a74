"""What a record says of each image: one bit, written as hexadecimal digits."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from peernets_tf.errors import UserError


def to_hexadecimal(values: ArrayLike) -> str:
    """Returns bits as hexadecimal digits, from which `from_hexadecimal` reads.

    Args:
        values: bool array of shape `(N,)`. The first is the highest bit of the
            first digit; zeros fill the last byte.
    """
    return np.packbits(np.asarray(values, bool)).tobytes().hex()


def from_hexadecimal(digits: str, total: int) -> NDArray[np.bool_]:
    """Returns the bits that `to_hexadecimal` wrote.

    Args:
        digits: str, hexadecimal digits.
        total: int, N, the number of bits.

    Returns:
        A bool array of shape `(N,)`.

    Raises:
        UserError: if they are not hexadecimal digits of so many bits.
    """
    try:
        packed = np.frombuffer(bytes.fromhex(digits), np.uint8)
    except ValueError as error:
        raise UserError(f"expected hexadecimal digits: {error}") from error
    bits = np.unpackbits(packed).astype(bool)
    if len(packed) != -(-total // 8) or bits[total:].any():
        raise UserError(
            f"expected one bit for each of {total} images. Received: "
            f"{len(digits)} digits"
        )
    return bits[:total]
