"""The callback that refreshes peers, as users and our training use it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
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


@pytest.mark.parametrize("behind", [False, True])
def test_what_restores_weights_must_stand_before(model, behind):
    callbacks = [
        keras.callbacks.EarlyStopping(restore_best_weights=True),
        RefreshPeers(IMAGES, 4),
    ]
    before = model.get_weights()
    if behind:
        with pytest.raises(UserError, match="Received: EarlyStopping behind"):
            fit(model, *callbacks[::-1])
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
    else:
        fit(model, *callbacks)


def test_takes_a_data_set_and_reads_it_once(model):
    reads = []

    def read():
        reads.append(1)
        yield from IMAGES

    spec = tf.TensorSpec(IMAGES.shape[1:], "float32")
    dataset = tf.data.Dataset.from_generator(read, output_signature=spec)
    fit(model, RefreshPeers(dataset.batch(5), 4, seed=7), epochs=2)
    check_peers(stored_peers(model), model, 4, seed=7, epoch=1)
    assert len(reads) == 1


def test_refuses_before_the_first_step(model):
    for num_peers in (0, 13, 2.5):
        with pytest.raises(UserError, match=f"num_peers={num_peers}"):
            RefreshPeers(IMAGES, num_peers)
    with pytest.raises(UserError, match="finite"):
        RefreshPeers(IMAGES * np.nan, 4)
    plain = keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(3)], name="plain"
    )
    plain.compile("sgd", "mse")
    with pytest.raises(UserError, match="Received: model=plain"):
        fit(plain, RefreshPeers(IMAGES, 4))
