"""Numbers as flags write them."""

import pytest

from peernets_tf.cli.numbers import parse_counts, parse_numbers
from peernets_tf.errors import UserError


def test_numbers():
    assert parse_numbers(["0.5", " 8/255", "1e-2"]) == (
        0.5,
        8 / 255,
        0.01,
    )
    assert parse_numbers([]) == ()
    refused = "a", "1/0", "8/0", "", " ", "/", "1/2/3", "nan", "-nan", "inf"
    huge = "1e400", "1e999999999", "1/1e400", "9" * 10_000, "1e300/1e-300"
    for text in (*refused, *huge, "\u0668/255"):
        with pytest.raises(UserError, match="numbers must be finite") as error:
            parse_numbers(["0.1", text])
        assert len(str(error.value)) < 120
    for text in ("-1", "-1/2", "1/-2"):
        with pytest.raises(UserError, match="negative"):
            parse_numbers(["0.1", text])


def test_counts():
    assert parse_counts(["1", " 20", "2147483647"]) == (
        1,
        20,
        2**31 - 1,
    )
    refused = "0", "-1", "1.5", "1e2", "", "a", "2147483648", "9" * 10_000
    for text in (*refused, "\u0668", "\u00b2"):
        with pytest.raises(UserError, match="expected whole numbers") as error:
            parse_counts(["1", text])
        assert len(str(error.value)) < 120
