"""A user's image: read as it looks, or refused in one line."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from peernets_tf import datasets
from peernets_tf.errors import DataError


def save(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return str(path)


def test_an_image_of_the_right_size_is_read_as_it_is(rng, tmp_path):
    pixels = rng.integers(0, 256, (12, 16, 3), "uint8")
    read = datasets.read_image(save(tmp_path / "a.png", pixels), (12, 16, 3))
    np.testing.assert_allclose(read.image, pixels / 255, atol=1e-6)
    assert read.image.dtype == np.float32
    assert read.original_size == (16, 12) and not read.is_resized


def test_gray_and_color_become_each_other(rng, tmp_path):
    gray = rng.integers(0, 256, (12, 12), "uint8")
    path = save(tmp_path / "a.png", gray)
    color = datasets.read_image(path, (12, 12, 3)).image
    np.testing.assert_allclose(color, np.repeat(gray[..., None], 3, -1) / 255)
    path = save(tmp_path / "b.png", np.full((12, 12, 3), 51, "uint8"))
    np.testing.assert_allclose(
        datasets.read_image(path, (12, 12, 1)).image, 0.2
    )


def test_the_centre_is_kept(tmp_path):
    pixels = np.zeros((40, 100, 3), "uint8")
    pixels[:, 30:70] = 255  # The square in the centre.
    read = datasets.read_image(save(tmp_path / "a.png", pixels), (8, 8, 3))
    assert read.is_resized and read.original_size == (100, 40)
    np.testing.assert_allclose(read.image, 1, atol=0.1)


def test_a_photograph_is_turned_upright(tmp_path):
    pixels = np.zeros((20, 40), "uint8")
    pixels[:, 20:] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was turned: rotate by 90 degrees.
    path = save(tmp_path / "a.jpg", pixels, exif=exif, quality=95)
    read = datasets.read_image(path, (40, 20, 1))
    assert read.original_size == (20, 40)
    assert read.image[:18].max() < 0.1 and read.image[22:].min() > 0.9


def test_what_is_transparent_is_white(tmp_path):
    pixels = np.zeros((8, 8, 4), "uint8")
    pixels[:4, :, 3] = 255
    read = datasets.read_image(save(tmp_path / "a.png", pixels), (8, 8, 3))
    np.testing.assert_array_equal(read.image[:4], 0)
    np.testing.assert_array_equal(read.image[4:], 1)


def png(width, height, bits, compressed=b""):
    """A PNG of colours with the given size, bits per channel and pixels."""
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, data in (
        (b"IHDR", header),
        (b"IDAT", compressed),
        (b"IEND", b""),
    ):
        crc = struct.pack(">I", zlib.crc32(name + data))
        parts += [struct.pack(">I", len(data)), name, data, crc]
    return b"".join(parts)


def huge_png():
    """The first bytes of a PNG of 10 thousand million pixels."""
    return png(100_000, 100_000, 8)[:33]


def damaged(tmp_path, rng):
    """Yields files that are no images, and a part of the line about each."""
    path = tmp_path / "a.png"
    noise = rng.integers(0, 256, (64, 64, 3), "uint8")
    whole = tmp_path / "whole.png"
    Image.fromarray(noise).save(whole)
    for content in (
        b"",
        b"text",
        bytes(4096),
        rng.bytes(4096),
        whole.read_bytes()[:3000],
        huge_png(),
        huge_png()[:20],
    ):
        path.write_bytes(content)
        yield path
    Image.fromarray(noise).save(path, "GIF")
    yield path
    Image.fromarray(np.full((8, 8), 4000, "uint16")).save(path, "PNG")
    yield path
    # Colours of 16 bits, which Pillow reads but cannot write.
    rows = b"\0" + bytes(8 * 3 * 2)
    path.write_bytes(png(8, 8, 16, zlib.compress(8 * rows)))
    yield path
    Image.fromarray(noise).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:1000])
    yield path
    yield tmp_path / "missing.png"
    yield tmp_path


def test_damaged_files_are_refused_by_name(rng, tmp_path):
    for path in damaged(tmp_path, rng):
        with pytest.raises(DataError, match="PNG or JPEG") as caught:
            datasets.read_image(str(path), (8, 8, 3))
        assert str(path) in str(caught.value)


def test_large_files_are_not_read(tmp_path):
    path = tmp_path / "a.png"
    with open(path, "wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(DataError, match="at most 64 MiB. Received: 65 MiB"):
        datasets.read_image(str(path), (8, 8, 3))
