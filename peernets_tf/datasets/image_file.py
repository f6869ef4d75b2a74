"""Reads a PNG or JPEG file of a user's as an image for a model."""

import dataclasses
import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from peernets_tf.errors import DataError

_FORMATS = ("PNG", "JPEG")
_MAX_BYTES = 64 * 2**20
# A photograph of a large camera has 100 million pixels or fewer.
_MAX_PIXELS = 2**27


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImageFile:
    """An image of a file, in the size of a model's input.

    Attributes:
        image: float32 array of shape `(H, W, C)` in [0, 1].
        original_size: tuple of ints, the width and the height in the file.
    """

    image: NDArray[np.float32]
    original_size: tuple[int, int]

    @property
    def is_resized(self) -> bool:
        """Whether the file has another size than the image."""
        height, width = self.image.shape[:2]
        return self.original_size != (width, height)


def read_image(path: str, shape: tuple[int, int, int]) -> ImageFile:
    """Reads a PNG or JPEG file in the shape of a model's input.

    The image is turned upright as its EXIF data say, cut to the proportions of
    the input at its centre, and resized. What is transparent becomes white.

    Args:
        path: str, the file.
        shape: tuple `(H, W, C)`, C = 1 for grey or 3 for RGB.

    Raises:
        DataError: if the file cannot be read, is neither PNG nor JPEG, is
            damaged, has more than 8 bits per channel, or is larger than 64 MiB
            or 134 million pixels.
    """
    if not os.path.exists(path):
        raise DataError(
            "the image must be a PNG or JPEG file. Received: "
            f"{path!r}, which does not exist"
        )
    if not os.path.isfile(path):
        raise DataError(
            f"the image must be a PNG or JPEG file. Received: {path!r}, which "
            "is not a file"
        )
    if os.path.getsize(path) > _MAX_BYTES:
        raise DataError(
            f"{path} must be at most {_MAX_BYTES >> 20} MiB. Received: "
            f"{os.path.getsize(path) / 2**20:.0f} MiB; make it smaller"
        )
    try:
        return _read(path, shape)
    except Exception as error:
        # A damaged file fails in as many ways as there are parsers in it.
        reason = str(error).replace(repr(path), "").strip()
        raise DataError(
            f"cannot read {path} as PNG or JPEG ({type(error).__name__}: "
            f"{reason}): give a valid file"
        ) from error


def _bits(path: str) -> int:
    """Returns the bits per channel of a PNG file, 8 for another.

    Pillow cuts off those of a 16-bit colour image beyond the first 8.
    """
    with open(path, "rb") as file:
        header = file.read(25)
    # The signature, and the first chunk with its bit depth behind two sizes.
    return header[24] if header.startswith(b"\x89PNG") else 8


def _read(path: str, shape: tuple[int, int, int]) -> ImageFile:
    from PIL import Image, ImageOps

    height, width, channels = shape
    with warnings.catch_warnings():
        # Pillow warns of what may be an attack, and of metadata that is wrong.
        warnings.simplefilter("ignore")
        with Image.open(path, formats=_FORMATS) as file:
            if file.width * file.height > _MAX_PIXELS:
                raise ValueError(
                    f"it has {file.width} x {file.height} pixels, and at most "
                    f"{_MAX_PIXELS} are read"
                )
            if file.mode.startswith(("I", "F")) or _bits(path) > 8:
                raise ValueError("it has more than 8 bits per channel")
            image = _on_white(ImageOps.exif_transpose(file))
    size = image.size
    image = image.convert("L" if channels == 1 else "RGB")
    if size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, np.float32).reshape(shape) / np.float32(255)
    return ImageFile(image=pixels, original_size=size)


def _on_white(image: Any) -> Any:
    """Returns an image without transparency."""
    from PIL import Image

    if not image.has_transparency_data:
        # It must be decoded before its file is closed.
        image.load()
        return image
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image)
