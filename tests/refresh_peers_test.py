"""The callback that refreshes peers, as users and our training use it."""

import keras
import numpy as np
import pytest
from bank_test import make_model

from peernets_tf import RefreshPeers, draw_peers, encode_peers, set_peers
from peernets_tf.errors import UserError
from peernets_tf.peers import stored_peers

IMAGES = np.random.default_rng(0).random((12, 8, 8, 3)).astype("float32")
TARGETS = np.ones((12, 3))


@pytest.fixture
def model():
    model = make_model()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


def fit(model, *callbacks, validation=True, **options):
    validation_data = (IMAGES, TARGETS) if validation else None
    return model.fit(
        IMAGES,
        TARGETS,
        batch_size=6,
        validation_data=validation_data,
        callbacks=callbacks,
        verbose=0,
        **options,
    )


def check_peers(bank, model, num_peers, seed, epoch):
    """Asserts that a bank is one graph's features under the model's weights."""
    images = draw_peers(IMAGES, num_peers, seed=(2, seed, epoch))
    expected = encode_peers(model, images)
    assert bank.num_graphs == 1
    for found, features in zip(bank.features, expected.features, strict=True):
        np.testing.assert_allclose(found, features, atol=1e-5)


class Spy(keras.callbacks.Callback):
    """Checks the peers of every validation."""

    def on_train_batch_begin(self, batch, logs=None):
        assert stored_peers(self.model).num_peers == 4

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_test_end(self, logs=None):
        bank = stored_peers(self.model)
        check_peers(bank, self.model, 4, seed=7, epoch=self.epoch)


@pytest.mark.parametrize("validation", [False, True])
def test_peers_are_always_those_of_the_newest_weights(model, validation):
    fit(
        model,
        RefreshPeers(IMAGES, 4, seed=7),
        Spy(),
        validation=validation,
        epochs=2,
    )
    check_peers(stored_peers(model), model, 4, seed=7, epoch=1)


def test_refreshes_what_early_stopping_restores(model):
    stopping = keras.callbacks.EarlyStopping(
        restore_best_weights=True, patience=1
    )
    # The validation loss is never better than the first one.
    losses = iter([1.0, 2.0])
    stopping.get_monitor_value = lambda logs: next(losses)
    fit(model, stopping, RefreshPeers(IMAGES, 4), epochs=5)
    check_peers(stored_peers(model), model, 4, seed=0, epoch=1)


def test_fresh_peers_stay_before_the_first_step(model):
    set_peers(model, IMAGES[:4])
    before = stored_peers(model)

    class First(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            for old, new in zip(
                before.features, stored_peers(model).features, strict=True
            ):
                np.testing.assert_array_equal(old, new)

    fit(model, RefreshPeers(IMAGES, 4), First())


def test_refuses_before_the_first_step(model):
    with pytest.raises(UserError, match="num_peers=13"):
        fit(model, RefreshPeers(IMAGES, 13))
    plain = keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(3)], name="plain"
    )
    plain.compile("sgd", "mse")
    with pytest.raises(UserError, match="Received: model=plain"):
        fit(plain, RefreshPeers(IMAGES, 4))
