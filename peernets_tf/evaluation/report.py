"""Prints the evaluations of one model."""

import os
from collections.abc import Sequence

from peernets_tf import records


def print_report(folders: Sequence[str]) -> None:
    """Prints the evaluations of one model, one for each backward pass.

    Args:
        folders: sequence of str, the `output_dir` of each evaluation.
    """
    paths = [os.path.join(folder, "record.json") for folder in folders]
    print(records.report(paths), flush=True)
    if len(paths) > 1:
        print(
            "\nThe exact gradient of a defence may be masked: judge the model "
            "by the lower accuracy of the two, not by the exact row alone.",
            flush=True,
        )
