"""One bit for each image, written as hexadecimal digits."""

import numpy as np
import pytest

from peernets_tf.errors import UserError
from peernets_tf.records import per_image


def test_the_first_image_is_the_highest_bit():
    bits = [1, 0, 1, 0, 0, 0, 0, 0, 1]
    assert per_image.to_hexadecimal(bits) == "a080"
    assert per_image.from_hexadecimal("a080", 9).tolist() == bits


@pytest.mark.parametrize("total", [1, 7, 8, 9, 1000])
def test_reads_what_it_wrote(total, rng):
    bits = rng.random(total) < 0.5
    digits = per_image.to_hexadecimal(bits)
    np.testing.assert_array_equal(
        per_image.from_hexadecimal(digits, total), bits
    )


@pytest.mark.parametrize(
    ("digits", "message"),
    [
        ("a0", "one bit for each of 9 images"),
        ("a08000", "one bit for each of 9 images"),
        # An image after the last.
        ("a0c0", "one bit for each of 9 images"),
        ("a0g0", "hexadecimal digits"),
    ],
)
def test_refuses_digits_of_other_images(digits, message):
    with pytest.raises(UserError, match=message):
        per_image.from_hexadecimal(digits, 9)
