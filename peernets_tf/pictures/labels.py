"""Text of records as labels, captions and names of files."""

import re
from collections.abc import Iterable, Sequence

from peernets_tf import records


def short(text: str, length: int = 40) -> str:
    """Returns text of a record as a label: one short line.

    Args:
        text: str.
        length: int, the most characters.
    """
    line = records.code(text)
    return line if len(line) <= length else f"{line[: length - 3]}..."


def network(model: str) -> str:
    """Returns the paper's name of a network as a label."""
    return short(records.network_name(model))


def dataset(name: str) -> str:
    """Returns the usual name of a data set as a label."""
    return short(records.dataset_name(name))


def listed(names: Iterable[str]) -> str:
    """Returns names without repeats as text: `A, B and C`."""
    *first, last = dict.fromkeys(names)
    return f"{', '.join(first)} and {last}" if first else last


def images(totals: Sequence[int]) -> str:
    """Returns numbers of images as text: `200 to 1,000 test images`."""
    low, high = min(totals), max(totals)
    count = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{count} test images"


def file_name(text: str) -> str:
    """Returns text of a record as a part of a file's name."""
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_") or "other"
