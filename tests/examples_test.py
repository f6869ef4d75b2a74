"""The test images that pictures show are classified correctly."""

import numpy as np
import pytest
from small_models import classifiers, make_linear, make_peernet

from peernets_tf import datasets, peers
from peernets_tf.errors import UserError
from peernets_tf.pictures import examples


def test_all_models_are_right(stripes):
    models = [make_linear(), make_peernet(stripes)]
    found = examples.correct_images(classifiers(models), stripes.test, 5)
    assert len(found) == 5
    for model in models:
        logits = np.asarray(peers.monte_carlo(model)(found.images))
        np.testing.assert_array_equal(logits.argmax(axis=1), found.labels)


def test_the_first_images_come_first(stripes):
    linear = classifiers([make_linear()])
    everything = examples.correct_images(linear, stripes.test, 1000)
    some = examples.correct_images(linear, stripes.test, 3)
    assert len(everything) <= len(stripes.test)
    np.testing.assert_array_equal(some.images, everything.images[:3])


def test_no_image_at_all(stripes):
    wrong = datasets.Split(
        images=stripes.test.images, labels=(stripes.test.labels + 1) % 3
    )
    linear = classifiers([make_linear()])
    with pytest.raises(UserError, match="agree on none of 30"):
        examples.correct_images(linear, wrong, 3)


def test_classes_take_turns(rng):
    split = datasets.Split(
        images=rng.uniform(0, 1, (6, 2, 2, 1)).astype("float32"),
        labels=np.array([4, 4, 4, 1, 1, 0], "int32"),
    )
    found = examples.of_different_classes(split, 5)
    np.testing.assert_array_equal(found.labels, [4, 1, 0, 4, 1])
    np.testing.assert_array_equal(found.images, split.images[[0, 3, 5, 1, 4]])
    assert len(examples.of_different_classes(split, 9)) == 6
