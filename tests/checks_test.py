"""Checks that reject meaningless evaluations."""

import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import checks
from peernets_tf.errors import AttackError


def test_probabilities_are_refused(rng):
    logits = rng.standard_normal((4, 3))
    checks.check_logits(logits)
    exponents = np.exp(logits)
    checks.check_logits(exponents)
    with pytest.raises(AttackError, match="logits: remove its softmax"):
        checks.check_logits(exponents / exponents.sum(axis=1, keepdims=True))


def test_rounded_probabilities_are_probabilities(rng):
    logits = rng.standard_normal((500, 10))
    for dtype in ("bfloat16", "float16"):
        rounded = ops.cast(ops.softmax(logits), dtype)
        assert checks.are_probabilities(ops.convert_to_numpy(rounded))


def test_labels_that_are_no_classes_are_refused():
    one_hot = np.eye(3)
    for labels, message in (
        (one_hot, "argmax"),
        (np.array([0, 3, 1]), "between 0 and 2, the model's classes"),
    ):
        with pytest.raises(AttackError, match=message):
            checks.checked_labels(labels, 3, 3)
    with pytest.raises(AttackError, match="between 0 and 2147483647. Received"):
        checks.checked_labels(np.array([0, -3, 1]), 3, None)


def test_images_of_nan_are_called_so():
    with pytest.raises(AttackError, match="values of NaN"):
        checks.check_images(np.full((1, 2, 2, 1), np.nan))


def test_predictions_from_logits_not_finite_are_refused():
    checks.check_predictions(np.array([0, 4]))
    with pytest.raises(AttackError, match="not finite at 2 of 3 images"):
        checks.check_predictions(np.array([0, -1, -1]))


def test_perturbations_out_of_the_ball_are_refused():
    change = np.array([[0.3, -0.4], [0.0, 0.0]], "float32")
    checks.check_ball(change, 0.5, "l2")
    checks.check_ball(change, 0.4, "linf")
    checks.check_ball(change, None, "l2")
    for epsilon, norm in ((0.49, "l2"), (0.39, "linf")):
        with pytest.raises(AttackError, match=f"{norm} ball of radius"):
            checks.check_ball(change, epsilon, norm)
    with pytest.raises(AttackError, match="norm nan"):
        checks.check_ball(change * np.nan, 0.5, "l2")
