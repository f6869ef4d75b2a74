"""The smallest perturbations and their norms."""

import keras
import numpy as np
import pytest
from small_models import classifiers, make_linear, make_peernet

from peernets_tf import attacks, peers
from peernets_tf.errors import AttackError
from peernets_tf.pictures import examples, panels, smallest


@pytest.fixture(scope="module")
def models(stripes):
    return [make_linear(), make_peernet(stripes)]


def test_a_peernet_is_seen_twice(models):
    assert [view.label for view in smallest.views(models)] == [
        "linear",
        "peernet, exact",
        "peernet, identity",
    ]


def test_a_softmax_is_refused(models):
    softmax = keras.Sequential([models[0], keras.layers.Softmax()])
    with pytest.raises(AttackError, match="its softmax"):
        smallest.views([softmax])


def test_norms_and_classes_are_those_of_the_images(models, stripes):
    split = examples.correct_images(classifiers(models), stripes.test, 4)
    search = attacks.SmallestEpsilon.over(
        attacks.FGSM, image_shape=split.images.shape[1:]
    )
    for view in smallest.views(models):
        model = models[0] if view.model == "linear" else models[1]
        found = smallest.search(view, split, search, seed=0)
        change = found.adversarial - split.images
        np.testing.assert_array_equal(found.perturbations, change)
        for i, v in enumerate(change):
            norms = found.l2[i], found.linf[i]
            assert norms == pytest.approx(panels.pixel_norms(v))
        averaged = peers.monte_carlo(model)
        logits = np.asarray(averaged(found.adversarial))
        np.testing.assert_array_equal(found.predictions, logits.argmax(axis=1))
        np.testing.assert_array_equal(
            found.fooled, found.predictions != split.labels
        )
        assert (found.linf[~found.fooled] == 0).all()
