"""What a suite of attacks did to each image."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from peernets_tf import records

# The values of `RobustAccuracy.outcomes`.
NOT_ATTACKED, ROBUST, FOOLED = -1, 0, 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class RobustAccuracy:
    """What a suite of attacks did to each image.

    Attributes:
        result: the `records.SuiteResult`: counts for each attack, and the
            checklist.
        correct: bool array of shape `(N,)`, the images classified correctly
            before the attacks.
        robust: bool array of shape `(N,)`, those classified correctly after
            each attack that counts: the worst case for each image.
        outcomes: mapping from an attack's name to an int8 array of shape
            `(N,)`: 1 where it fooled the model, 0 where it did not, -1 where
            it did not attack, because the image was classified wrongly or, for
            most attacks, because an earlier one had fooled the model. Large
            balls attack only the first 100 that are classified correctly.
    """

    result: records.SuiteResult
    correct: NDArray[np.bool_]
    robust: NDArray[np.bool_]
    outcomes: Mapping[str, NDArray[np.int8]]

    @property
    def clean_accuracy(self) -> float:
        """Accuracy before the attacks, in [0, 1]."""
        return self.result.clean_accuracy

    @property
    def robust_accuracy(self) -> float:
        """Accuracy in the worst case of all attacks that count, in [0, 1]."""
        return self.result.robust_accuracy

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the robust accuracy."""
        return self.result.interval

    @property
    def checks(self) -> tuple[records.Check, ...]:
        """The checklist of the evaluation."""
        return self.result.checks

    @property
    def failed(self) -> tuple[records.Check, ...]:
        """The checks that failed: reasons not to trust the robust accuracy."""
        return self.result.failed

    def __str__(self) -> str:
        tables = records.suite_tables.result_tables(self.result, "The model")
        return records.tables.markdown(tables)
