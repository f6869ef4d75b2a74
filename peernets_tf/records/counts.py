"""Checks that reject impossible numbers in records."""

import math
from collections.abc import Sequence

from peernets_tf.errors import UserError


def check_counts(
    total_name: str, total: int, *, at_least: int = 1, **counts: int | None
) -> None:
    """Raises a `UserError` unless each count lies between 0 and a total.

    Args:
        total_name: str, the total's name.
        total: int, the total.
        at_least: int, the smallest total that is allowed.
        **counts: ints or None, by their names.
    """
    if total < at_least:
        raise UserError(
            f"{total_name} must be at least {at_least}. Received: {total}"
        )
    for name, count in counts.items():
        if count is not None and not 0 <= count <= total:
            raise UserError(
                f"{name} must lie between 0 and {total_name}={total}. "
                f"Received: {count}"
            )


def check_not_negative(**values: float | None) -> None:
    """Raises a `UserError` unless each value is None or finite and >= 0."""
    for name, value in values.items():
        if value is not None and not 0 <= value < math.inf:
            raise UserError(
                f"{name} must be finite and at least 0. Received: {value}"
            )


def check_totals(test_size: int, totals: Sequence[int]) -> None:
    """Raises a `UserError` unless each attack was on all test images.

    Args:
        test_size: int, the test images.
        totals: sequence of ints, the images of each attack.
    """
    check_counts("test_size", test_size)
    for total in totals:
        if total != test_size:
            raise UserError(
                f"total must be test_size={test_size} in each case. Received: "
                f"{total}"
            )
