"""Losses against numbers worked out by hand."""

import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import losses
from peernets_tf.errors import UserError

LOGITS = np.log(np.array([[1, 2, 5], [4, 3, 1]], "float32"))
LABELS = np.array([2, 1], "int32")


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Minus the log of the label's probability.
        ("cross_entropy", -np.log([5 / 8, 3 / 8])),
        # The largest other logit minus the label's.
        ("margin", np.log([2 / 5, 4 / 3])),
    ],
)
def test_losses(name, expected, targeted):
    found = losses.loss(LOGITS, LABELS, name, targeted=targeted)
    sign = -1 if targeted else 1
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), sign * expected, rtol=1e-5
    )


def test_cross_entropies_are_finite_for_all_finite_logits():
    found = losses.cross_entropies(LOGITS, LABELS)
    np.testing.assert_allclose(found, -np.log([5 / 8, 3 / 8]), rtol=1e-6)
    huge = np.array([[3e38, -3e38], [3e38, -3e38], [-3e38, -3e38]], "float32")
    found = losses.cross_entropies(huge, np.array([0, 1, 1]))
    np.testing.assert_allclose(found, [0, 6e38, np.log(2)], rtol=1e-6)


def test_classes_are_minus_one_where_logits_are_not_finite():
    logits = np.array([[1, 2], [3, 2], [np.nan, 1], [1, -np.inf]], "float32")
    for found in (losses.classes_of(logits), losses.predicted_classes(logits)):
        assert np.asarray(found).tolist() == [1, 0, -1, -1]


def test_unknown_losses_are_refused():
    with pytest.raises(UserError, match="cross_entropy.*Received: hinge"):
        losses.loss(LOGITS, LABELS, "hinge")


def test_who_is_fooled():
    predictions = np.array([0, 1, -1])
    labels = np.array([0, 2, 1])
    np.testing.assert_array_equal(
        losses.is_fooled(predictions, labels, False), [False, True, True]
    )
    np.testing.assert_array_equal(
        losses.is_fooled(predictions, labels, True), [True, False, False]
    )
