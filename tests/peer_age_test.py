"""Peers that are older than the weights raise a warning, and only those."""

import contextlib
import gc
import warnings
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from bank_test import make_model

from peernets_tf import RefreshPeers, attacks, monte_carlo, set_peers
from peernets_tf.peers import peer_layers

IMAGES = np.random.default_rng(0).random((6, 8, 8, 3)).astype("float32")
LABELS = np.arange(6) % 3


@pytest.fixture
def model():
    model = make_model()
    model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    return model


def fit(model, **options):
    model.fit(IMAGES, LABELS, batch_size=6, verbose=0, **options)


def evaluate(model):
    model.evaluate(IMAGES, LABELS, verbose=0)


def average(model):
    monte_carlo(model).predict(IMAGES, verbose=0)


def store(model):
    set_peers(model, IMAGES)


@contextlib.contextmanager
def warns(expected):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    found = ["older than the model's weights" in str(w.message) for w in caught]
    assert any(found) == expected, caught


@pytest.mark.parametrize("use", [evaluate, average])
@pytest.mark.parametrize(
    "order",
    [
        [store, fit],
        [store, "use", fit],
        [fit, store, fit],
        [fit, store, "use", fit],
        [store, fit, store, "use", fit],
        [store, "use", fit, store, fit],
    ],
)
def test_warns_of_old_peers(model, order, use):
    with warns(False):
        for step in order:
            (use if step == "use" else step)(model)
    with warns(True):
        use(model)
    # Fresh peers end it, in what is compiled already, too.
    with warns(False):
        store(model)
        use(model)


def test_warns_in_eager_calls_and_before_saving(model, tmp_path):
    store(model)
    fit(model)
    with warns(True):
        model(IMAGES, training=False)
    with warns(True):
        model.save(tmp_path / "model.keras")
    with warns(True):
        fit(model, validation_data=(IMAGES, LABELS))


def test_a_compiled_monte_carlo_and_an_outer_model_notice(model):
    outer = keras.Sequential([keras.Input((8, 8, 3)), model])
    store(model)
    compiled = [monte_carlo(model), outer]
    for network in compiled:
        network.predict(IMAGES, verbose=0)
    fit(model)
    for network in compiled:
        with warns(True):
            network.predict(IMAGES, verbose=0)


def test_a_later_fit_without_the_callback_warns(model):
    validation = {"validation_data": (IMAGES, LABELS)}
    with warns(False):
        fit(model, callbacks=[RefreshPeers(IMAGES, 4)], epochs=3, **validation)
        evaluate(model)
        average(model)
        fit(model, callbacks=[RefreshPeers(IMAGES, 5)], **validation)
        evaluate(model)
        fit(model)
    with warns(True):
        evaluate(model)


def predict(model):
    model.predict(IMAGES, verbose=0)


def call(model):
    model(IMAGES, training=False)


@pytest.mark.parametrize("use", [evaluate, predict, average, call])
@pytest.mark.parametrize("used_before", [False, True])
def test_warns_after_weights_were_assigned(model, use, used_before):
    weights = model.get_weights()
    store(model)
    if used_before:
        use(model)
    model.set_weights([1.5 * w for w in weights])
    with warns(True):
        use(model)
    model.set_weights(weights)
    with warns(False):
        use(model)


def test_warns_in_the_validation_of_a_compiled_model(model):
    validation = {"validation_data": (IMAGES, LABELS)}
    store(model)
    with warns(False):
        evaluate(model)
    fit(model)
    with warns(True):
        fit(model, **validation)


def test_warns_after_a_training_step_of_ones_own(model):
    @tf.function
    def train_step():
        with tf.GradientTape() as tape:
            loss = model.loss(LABELS, model(IMAGES, training=True))
        weights = model.trainable_weights
        for weight, slope in zip(
            weights, tape.gradient(loss, weights), strict=True
        ):
            weight.assign_sub(0.1 * slope)

    train_step()
    store(model)
    with warns(False):
        predict(model)
    train_step()
    with warns(True):
        predict(model)


def test_warns_after_a_second_fit_without_ones_own_callback(model):
    own = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: store(model)
    )
    with warns(False):
        fit(model, callbacks=[own])
        evaluate(model)
        fit(model)
    with warns(True):
        evaluate(model)


def test_warns_after_training_in_front_of_a_frozen_layer(model):
    for layer in peer_layers(model):
        layer.trainable = False
    fit(model)
    store(model)
    with warns(False):
        evaluate(model)
    fit(model)
    with warns(True):
        evaluate(model)


def test_does_not_warn_after_loading(model, tmp_path):
    fit(model)
    store(model)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "all.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    with warns(False):
        evaluate(loaded)
        average(loaded)
    fit(loaded)
    loaded.load_weights(tmp_path / "all.weights.h5")
    with warns(False):
        evaluate(loaded)


def test_does_not_warn_under_attack(model):
    fit(model)
    store(model)
    for network in (model, monte_carlo(model)):
        with warns(False):
            attacks.PGD(epsilon=0.1, steps=2)(network, IMAGES, LABELS, seed=0)
            tf.function(network)(IMAGES)
    assert not any(layer.peers_are_old for layer in peer_layers(model))


@pytest.mark.parametrize("refreshed", [False, True])
def test_fit_that_validates_needs_peers_before_its_first_step(model, refreshed):
    steps = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(batch)
    )
    callbacks = [count, RefreshPeers(IMAGES, 4)] if refreshed else [count]
    for validation in (
        {"validation_data": (IMAGES, LABELS)},
        {"validation_split": 0.5},
    ):
        fresh = keras.models.clone_model(model)
        fresh.compile("sgd", model.loss)
        expected = pytest.raises(ValueError, match="RefreshPeers")
        with contextlib.nullcontext() if refreshed else expected:
            fit(fresh, callbacks=callbacks, **validation)
    assert len(steps) == (2 if refreshed else 0)
    fit(model)


@pytest.mark.parametrize("used", [False, True])
def test_old_peers_are_freed_with_their_model(used):
    model = make_model()
    store(model)
    if used:
        predict(model)
    references = [weakref.ref(model), weakref.ref(peer_layers(model)[0])]
    del model
    gc.collect()
    assert [reference() for reference in references] == [None, None]
