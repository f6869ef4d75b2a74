"""Checks of .npy headers and .npz directories before anything is read.

A header of a few bytes can promise terabytes, and a small compressed file can
unpack to gigabytes. These checks compare both with the size of the file.
"""

import math
import os
import zipfile
from typing import IO

import numpy as np

# The bytes that a compressed file may unpack to: this many at least, and this
# many times its own size. MNIST's digits, which compress well, need 5 times.
_ALWAYS_ALLOWED = 256 * 2**20
_LARGEST_RATIO = 20


def check_npy(file: IO[bytes], size: int) -> None:
    """Checks that an .npy header promises no more than the file holds.

    Args:
        file: a binary file at the start of an .npy file; read to its data.
        size: int, the bytes of the .npy file.

    Raises:
        ValueError: if it is not an .npy file, needs pickle to load, or is cut
            short.
    """
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"the .npy version must be 1 or 2. Received {version}")
    if dtype.hasobject:
        raise ValueError(
            "arrays of Python objects are never loaded; save an array of "
            "numbers"
        )
    if any(length < 0 for length in shape):
        raise ValueError(f"the shape must not be negative. Received {shape}")
    promised, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if promised > held:
        raise ValueError(
            f"its header promises {promised} bytes of {dtype} in shape "
            f"{shape}, but the file holds {held}"
        )


def check_unpacked_size(
    path: str | os.PathLike[str], archive: zipfile.ZipFile
) -> None:
    """Checks that a zip file does not unpack to far more than its size.

    Args:
        path: str, the zip file.
        archive: the opened file.

    Raises:
        ValueError: if it unpacks to more than 256 MiB and more than 20 times
            its size.
    """
    unpacked = sum(info.file_size for info in archive.infolist())
    limit = max(_ALWAYS_ALLOWED, _LARGEST_RATIO * os.path.getsize(path))
    if unpacked > limit:
        raise ValueError(
            f"it would unpack to {unpacked / 2**20:.0f} MiB; at most "
            f"{limit / 2**20:.0f} MiB are read from a file of its size. Save "
            "it without compression"
        )
