"""Checks that the rows of an evaluation's log can be rows of its batches."""

import math
from typing import Any

_COUNTS = (
    "zero_gradients",
    "correct",
    "adversarial_correct",
    "changed",
    "fooled",
    "rejected",
)


def check_suite_row(
    key: str,
    row: dict[str, Any],
    *,
    test_size: int,
    batch_size: int,
    num_classes: int,
) -> None:
    """Raises a `ValueError` unless a row belongs to a batch of a suite.

    Args:
        key: str, see `check_row`.
        row: dict, the fields of a `CleanBatch` or a `SuiteBatch`.
        test_size: int, see `check_row`.
        batch_size: int, see `check_row`.
        num_classes: int, see `check_row`.
    """
    if "images" not in row:
        check_row(
            key,
            row,
            test_size=test_size,
            batch_size=batch_size,
            num_classes=num_classes,
        )
        return
    images = row["images"]
    if not 0 < len(images) <= batch_size or not all(
        0 <= image < test_size for image in images
    ):
        raise ValueError(
            f"images must be 1 to {batch_size} places below {test_size}"
        )
    if not set(row["fooled"]) <= set(images):
        raise ValueError("fooled must be among images")
    if row["queries"] < 0:
        raise ValueError("queries must be at least 0")


def check_row(
    key: str,
    row: dict[str, Any],
    *,
    test_size: int,
    batch_size: int,
    num_classes: int,
) -> None:
    """Raises a `ValueError` unless a row belongs to a batch of an evaluation.

    Args:
        key: str, `NAME/NUMBER`, what is done to the batch of that number.
        row: dict, the fields of a `CleanBatch` or an `AttackedBatch`.
        test_size: int, the images of all batches.
        batch_size: int, the images of one batch; the last may have fewer.
        num_classes: int, the number of classes, rejection included.
    """
    number = int(key.rpartition("/")[2])
    size = min(batch_size, test_size - number * batch_size)
    if number < 0 or size <= 0:
        raise ValueError(f"there is no batch {number}")
    for name in _COUNTS:
        if row.get(name) is not None and not 0 <= row[name] <= size:
            raise ValueError(f"{name} must lie between 0 and {size}")
    if row.get("total", size) != size:
        raise ValueError(f"total must be {size}, the images of the batch")
    if row.get("fooled", 0) > row.get("correct", size):
        raise ValueError("fooled must be at most correct")
    for name in ("l2", "linf", "loss", "queries"):
        if not 0 <= row.get(name, 0) < math.inf:
            raise ValueError(f"{name} must be finite and at least 0")
    right = row.get("right")
    if right is not None and (
        len(right) != size
        or not set(right) <= {0, 1}
        or sum(right) != row.get("adversarial_correct")
    ):
        raise ValueError(
            f"right must be {size} of 0 and 1, adversarial_correct of them 1"
        )
    predictions = row.get("predictions", [0] * size)
    if len(predictions) != size or not all(
        0 <= label < num_classes for label in predictions
    ):
        raise ValueError(f"predictions must be {size} of {num_classes} classes")
