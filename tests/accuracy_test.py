"""The images that a trained model classifies correctly."""

import numpy as np
import pytest

from peernets_tf import models, peers, training
from peernets_tf.errors import TrainingError


def test_logits_that_are_not_finite_are_not_counted(stripes):
    model = models.build("lenet5", (12, 12, 1), 3, seed=0)
    model.set_weights([np.full_like(w, np.nan) for w in model.get_weights()])
    with pytest.raises(TrainingError, match="logits of lenet5 must be finite"):
        training.count_correct(model, stripes.test, verbose=0)


def test_count_correct(stripes):
    model = models.build("pr_lenet5", (12, 12, 1), 3, seed=0)
    peers.set_peers(model, stripes.train.images[:8])
    logits = model(stripes.test.images, training=False)
    expected = np.sum(np.argmax(logits, axis=1) == stripes.test.labels)
    assert training.count_correct(model, stripes.test, 7, verbose=0) == expected
