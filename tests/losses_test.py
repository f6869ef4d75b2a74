"""Losses against numbers worked out by hand."""

import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import losses
from peernets_tf.errors import AttackError, UserError

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
        # The margin over the largest logit minus the third largest.
        ("dlr", np.log([2 / 5, 4 / 3]) / np.log([5 / 1, 4 / 1])),
    ],
)
def test_losses(name, expected, targeted):
    found = losses.loss(LOGITS, LABELS, name, targeted=targeted)
    sign = -1 if targeted else 1
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), sign * expected, rtol=1e-5
    )


def test_the_targeted_dlr_loss():
    logits = np.array([[3, 8, 1, 2, 4], [5, 0, 1, 2, 3]], "float32")
    labels, targets = np.array([1, 0], "int32"), np.array([2, 3], "int32")
    found = losses.targeted_dlr(logits, labels, targets)
    # The third and the fourth largest are 3 and 2, then 2 and 1.
    expected = [(1 - 8) / (8 - 2.5), (2 - 5) / (5 - 1.5)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    found = losses.gaps(logits, labels, targets)
    np.testing.assert_array_equal(found, [-7, -3])


@pytest.mark.parametrize("targeted", [False, True])
def test_dlr_losses_do_not_change_with_scale_and_shift(targeted, rng):
    logits = rng.standard_normal((20, 6)).astype("float32")
    labels = rng.integers(0, 6, 20).astype("int32")
    targets = (labels + rng.integers(1, 6, 20).astype("int32")) % 6

    def values(logits):
        logits = logits.astype("float32")
        if targeted:
            return losses.targeted_dlr(logits, labels, targets)
        return losses.loss(logits, labels, "dlr")

    expected = values(logits)
    assert len(np.unique(expected)) > 10
    np.testing.assert_allclose(values(9 * logits + 4), expected, rtol=1e-4)
    margin = losses.loss(9 * logits + 4, labels, "margin")
    assert np.all(margin != losses.loss(logits, labels, "margin"))


def test_dlr_losses_of_equal_logits_are_finite():
    logits, labels = np.ones((1, 4), "float32"), np.zeros(1, "int32")
    for found in (
        losses.loss(logits, labels, "dlr"),
        losses.targeted_dlr(logits, labels, labels + 1),
    ):
        np.testing.assert_array_equal(found, [0])


def test_dlr_losses_need_classes():
    logits, labels = np.ones((1, 3), "float32"), np.zeros(1, "int32")
    with pytest.raises(AttackError, match="3 classes.* of 2 classes"):
        losses.loss(logits[:, :2], labels, "dlr")
    with pytest.raises(AttackError, match="4 classes.* of 3 classes"):
        losses.targeted_dlr(logits, labels, labels + 1)


def test_the_likeliest_wrong_classes_come_first():
    logits = np.array([[3.0, 8, 1, 2], [5, 0, 1, 2]])
    labels = np.array([0, 0])
    found = losses.likeliest_wrong_classes(logits, labels, 2)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [[1, 3], [3, 2]])
    found = losses.likeliest_wrong_classes(logits, labels, 9)
    np.testing.assert_array_equal(found, [[1, 3, 2], [3, 2, 1]])


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
