"""What is compiled for a model: current, counted, padded, and freed."""

import functools
import gc
import importlib.util
import os
import pathlib
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops
from linear_model import WEIGHTS, linear

from peernets_tf import PeerRegularization, monte_carlo, set_peers
from peernets_tf.attacks import (
    APGD,
    FAB,
    FGSM,
    NES,
    PGD,
    SPSA,
    Classifier,
    DeepFool,
    FiniteDifference,
    RandomNoise,
    SmallestEpsilon,
    Square,
    UniversalDeepFool,
    UniversalGradient,
    autodiff,
)
from peernets_tf.errors import AttackError

ROOT = pathlib.Path(__file__).resolve().parent.parent
IS_JAX = keras.backend.backend() == "jax"
LABELS = np.array([0, 1, 1, 0, 1], "int32")


@pytest.fixture
def images(rng):
    return rng.uniform(0.2, 0.8, (5, 2, 2, 1)).astype("float32")


def dense_model(num_classes=3):
    return keras.Sequential(
        [keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(num_classes)]
    )


def peer_model():
    inputs = keras.Input((4, 4, 1))
    x = layers.Conv2D(3, 3, activation="relu")(inputs)
    x = PeerRegularization(num_neighbors=2)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2)(x))


def test_predicts_the_likeliest_class_or_none():
    def logits_fn(images):
        return ops.reshape(images, (-1, 4))

    images = np.array(
        [[0, 3, 1, 2], [9, 8, 7, 6], [0, np.nan, 1, 2], [0, 3, np.inf, 1]]
    )
    predictions = Classifier(logits_fn).predict(images.reshape(4, 2, 2, 1))
    assert predictions.dtype == np.int32
    np.testing.assert_array_equal(predictions, [1, 0, -1, -1])


def test_gradient_of_the_loss_of_a_linear_model(images):
    classifier = Classifier(linear)
    gradients, predictions = classifier.loss_gradient(images, LABELS, "margin")
    direction = WEIGHTS[:, 1] - WEIGHTS[:, 0]
    signs = np.where(LABELS == 0, 1, -1)[:, None]
    np.testing.assert_allclose(gradients.reshape(5, 4), signs * direction)
    np.testing.assert_array_equal(predictions, classifier.predict(images))
    targeted, _ = classifier.loss_gradient(
        images, LABELS, "margin", targeted=True
    )
    np.testing.assert_allclose(targeted, -gradients)


def test_infers_the_shape_of_logits():
    classifier = Classifier(dense_model())
    assert classifier.logits_shape((7, 2, 2, 1)) == (3,)
    assert classifier.queries == 0


def as_model(model):
    return model


def as_closure(model):
    return lambda images: model(images, training=False)


def as_partial(model):
    return functools.partial(model, training=False)


def as_argument_of_partial(model):
    return functools.partial(lambda model, images: model(images), model)


def as_default_value(model):
    return lambda images, model=model: model(images)


def as_closure_in_closure(model):
    inner = as_closure(model)
    return lambda images: inner(images)


class Holder:
    def __init__(self, model):
        self.models = {"first": [model]}

    def __call__(self, images):
        return self.models["first"][0](images, training=False)

    def logits(self, images):
        return self(images)


def as_bound_method(model):
    return Holder(model).logits


def as_sequential(model):
    return keras.Sequential([model])


class Slot:
    """Hides its model in a slot, where no one looks."""

    __slots__ = ("model",)

    def __init__(self, model):
        self.model = model

    def __call__(self, images):
        return self.model(images, training=False)


HOLDERS = [
    as_model,
    monte_carlo,
    as_closure,
    as_partial,
    as_argument_of_partial,
    as_default_value,
    as_closure_in_closure,
    Holder,
    as_bound_method,
    as_sequential,
]


@pytest.mark.parametrize("holder", [as_model, as_closure, as_partial])
def test_fgsm_follows_weights_that_were_negated(holder, images):
    model = dense_model(num_classes=2)
    classifier = Classifier(holder(model))
    before = FGSM()(classifier, images, LABELS)
    negate(model)
    after = FGSM()(classifier, images, LABELS)
    # Negated weights give the negated gradient.
    np.testing.assert_allclose(after - images, images - before, atol=1e-6)
    assert np.abs(after - images).max() > 0.01


@pytest.mark.parametrize("attack", [PGD(steps=3), DeepFool()], ids=repr)
def test_attacks_answer_from_weights_that_were_negated(attack, images):
    model = dense_model()
    classifier = Classifier(model)
    before = attack(classifier, images, LABELS)
    negate(model)
    after = attack(classifier, images, LABELS)
    assert np.any(after != before)
    np.testing.assert_array_equal(after, attack(model, images, LABELS))


def negate(model):
    for variable in model.variables:
        variable.assign(-variable)


@pytest.mark.parametrize(
    ("num_peers", "holder"),
    [(3, as_closure), *((5, holder) for holder in HOLDERS)],
)
def test_answers_from_peers_that_were_stored_later(num_peers, holder, rng):
    """Another number of peers makes new variables, the same assigns."""
    images = rng.uniform(0, 1, (6, 4, 4, 1)).astype("float32")
    labels = np.zeros(6, "int32")
    model = peer_model()
    set_peers(model, rng.uniform(0, 1, (3, 4, 4, 1)).astype("float32"))
    classifier = Classifier(holder(model))
    attack = FGSM(loss="margin", norm="l2", epsilon=0.5)
    before = attack(classifier, images, labels)
    later = rng.uniform(0.5, 1, (num_peers, 4, 4, 1)).astype("float32")
    set_peers(model, later)
    after = attack(classifier, images, labels)
    assert np.any(after != before)
    expected = attack(Classifier(holder(model)), images, labels)
    np.testing.assert_array_equal(after, expected)
    logits = ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_array_equal(
        classifier.predict(images), np.argmax(logits, axis=1)
    )


def test_a_model_that_is_not_found_is_never_called_robust(rng):
    """What was compiled for it reads NaN where the old peers were."""
    images = rng.uniform(0, 1, (6, 4, 4, 1)).astype("float32")
    model = peer_model()
    set_peers(model, rng.uniform(0, 1, (3, 4, 4, 1)).astype("float32"))
    classifier = Classifier(Slot(model))
    attacks = [FGSM(), PGD(steps=2), DeepFool()]
    for attack in attacks:
        attack(classifier, images, np.zeros(6, "int32"))
    set_peers(model, rng.uniform(0, 1, (5, 4, 4, 1)).astype("float32"))
    for attack in attacks:
        with pytest.raises(AttackError, match="finite"):
            attack(classifier, images, np.zeros(6, "int32"))


def test_gradient_takes_labels_in_a_column_and_checks_their_range(images):
    classifier = Classifier(linear)
    expected, _ = classifier.loss_gradient(images, LABELS, "margin")
    found, _ = classifier.loss_gradient(images, LABELS[:, None], "margin")
    np.testing.assert_array_equal(found, expected)
    for bad in (LABELS.astype("int64") + 2**32, LABELS - 1, LABELS + 1):
        with pytest.raises(AttackError, match="between 0 and 1"):
            classifier.loss_gradient(images, bad, "margin")


def test_tells_an_observer_of_every_query(images):
    classifier = Classifier(linear)
    told = []
    with classifier.observed(told.append):
        DeepFool()(classifier, images)
    assert len(told) > 1
    assert sum(told) == classifier.queries
    classifier.predict(images)
    assert sum(told) < classifier.queries


def test_frees_the_model_and_what_it_compiled(images, monkeypatch):
    alive = []
    compiled = autodiff.compiled

    def noting(function):
        made = compiled(function)
        alive.append(weakref.ref(made))
        return made

    monkeypatch.setattr(autodiff, "compiled", noting)
    model = dense_model()
    classifier = Classifier(as_closure(model))
    for attack in (PGD(steps=2), DeepFool(), FGSM(loss="margin")):
        attack(classifier, images, LABELS)
    classifier.predict(images)
    assert len(alive) == 4
    assert all(compiled() is not None for compiled in alive)
    for thing in (classifier, classifier.logits_fn, model, model.weights[0]):
        alive.append(weakref.ref(thing))
    del classifier, model, thing
    gc.collect()
    assert [reference() for reference in alive] == [None] * 8


class Counter:
    """Logits of a linear model, which counts images as they pass."""

    def __init__(self):
        self.images = 0

    def __call__(self, images):
        if IS_JAX:
            import jax

            jax.debug.callback(self.add, len(images), ordered=True)
            return linear(images)
        import tensorflow as tf

        tf.numpy_function(self.add, [tf.shape(images)[0]], [])
        return linear(images)

    def add(self, count):
        self.images += int(count)


@pytest.mark.skipif(IS_JAX, reason="padded images are computed, not counted")
@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (FGSM(), 5),
        (PGD(steps=7), 5 * (7 + 1)),
        (PGD(steps=7, keep_best=False), 5 * 7),
        (PGD(steps=7, restarts=3), 5 * 3 * (7 + 1)),
        (PGD(steps=12, stop_when_fooled=True, epsilon=1.0), None),
        (PGD(steps=12, stop_when_fooled=True, restarts=2), None),
        (APGD(steps=7), None),
        (APGD(steps=7, epsilon=0.0, expectation=3, restarts=2), None),
        (FAB(steps=7), None),
        (DeepFool(), None),
        (SmallestEpsilon(attack=FGSM()), None),
        (UniversalDeepFool(epsilon=0.1, passes=2, batch_size=2), None),
        (
            UniversalGradient(epsilon=0.1, passes=3, batch_size=2),
            5 * (1 + 3),
        ),
        (RandomNoise(), 0),
        (FiniteDifference(steps=3), 5 * 3 * (2 * 4 + 1)),
        (FiniteDifference(num_groups=3), 5 * (2 * 3 + 1)),
        (NES(steps=2, samples=300), 5 * 2 * (2 * 300 + 1)),
        (SPSA(steps=2, stop_when_fooled=True, epsilon=1.0), None),
        (Square(queries=70), None),
        (Square(queries=70, norm="l2", epsilon=1.0), None),
    ],
    ids=repr,
)
def test_counts_queries_exactly(attack, expected, images):
    counter = Counter()
    classifier = Classifier(counter)
    attack(classifier, images, LABELS)
    assert classifier.queries == counter.images
    if expected is not None:
        assert classifier.queries == expected
    before = classifier.queries
    classifier.predict(images)
    classifier.loss_gradient(images[:3], LABELS[:3], "margin")
    assert classifier.queries - before == 8


def test_compiles_once(images):
    traced = []

    def logits_fn(images):
        traced.append(images.shape)
        return linear(images)

    classifier = Classifier(logits_fn)
    attack = PGD(steps=3)
    first = attack(classifier, images, LABELS)
    count = len(traced)
    for _ in range(3):
        # Equal attacks share what is compiled, whatever their radius.
        other = PGD(steps=3, epsilon=0.01)
        other(classifier, images, LABELS)
        np.testing.assert_array_equal(attack(classifier, images, LABELS), first)
    assert len(traced) == count


@pytest.mark.parametrize(
    "attack", [Square(queries=3), FiniteDifference(num_groups=2)], ids=repr
)
def test_images_of_two_sizes(attack):
    def logits_fn(images):
        means = ops.mean(images, axis=(1, 2))
        return ops.concatenate([means, 1 - means], axis=1)

    classifier = Classifier(logits_fn)
    for size in (4, 6, 8):
        images = np.full((2, size, size, 1), 0.3, "float32")
        found = attack(classifier, images, np.ones(2, "int32"))
        assert found.shape == images.shape


def test_pads_to_a_compiled_batch_of_less_than_double_size(monkeypatch, rng):
    monkeypatch.setattr(autodiff, "pads_batches", lambda: True)
    seen = Counter()
    classifier = Classifier(seen)
    images = rng.uniform(0, 1, (16, 2, 2, 1)).astype("float32")
    expected = np.argmax(ops.convert_to_numpy(linear(images)), axis=1)
    sizes = []
    for count in (12, 7, 6, 11, 5, 3, 2, 13):
        before = seen.images
        found = classifier.predict(images[:count])
        np.testing.assert_array_equal(found, expected[:count])
        sizes.append(seen.images - before)
    assert sizes == [12, 12, 6, 12, 6, 3, 3, 13]
    assert classifier.queries == 12 + 7 + 6 + 11 + 5 + 3 + 2 + 13


def test_pads_to_few_sizes_below_the_batch_size(monkeypatch, rng):
    """Whatever was compiled before."""
    monkeypatch.setattr(autodiff, "pads_batches", lambda: False)
    images = rng.uniform(0, 1, (30, 2, 2, 1)).astype("float32")
    expected = np.argmax(ops.convert_to_numpy(linear(images)), axis=1)
    for order in (range(1, 31), range(30, 0, -1)):
        seen = Counter()
        classifier = Classifier(seen, batch_size=25)
        sizes = {}
        for count in order:
            before = seen.images
            found = classifier.predict(images[:count])
            np.testing.assert_array_equal(found, expected[:count])
            sizes[count] = seen.images - before
        for count, size in sizes.items():
            assert size == count or count < size < 1.5 * count
        below = {size for count, size in sizes.items() if count <= 25}
        assert below == {25, 20, 16, 12, 9, 7, 5, 4, 3, 2, 1}
        # Larger than the largest.
        assert [sizes[count] for count in range(26, 31)] == [*range(26, 31)]
        assert classifier.queries == sum(range(1, 31))


@pytest.mark.skipif(not IS_JAX, reason="TensorFlow reads and writes variables")
def test_refuses_a_model_that_changes_its_variables(images):
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )
    classifier = Classifier(lambda images: model(images, training=True))
    with pytest.raises(AttackError, match="training=False"):
        FGSM()(classifier, images, LABELS)
    FGSM()(lambda images: model(images, training=False), images, LABELS)


@pytest.mark.skipif(
    IS_JAX or importlib.util.find_spec("jax") is None,
    reason="runs on TensorFlow, needs JAX",
)
def test_all_of_this_on_jax():
    """Keras chooses its backend at import, so JAX needs its own process."""
    files = [
        "classifier",
        "fgsm",
        "deepfool",
        "apgd",
        "fab",
        "finite",
        "gradient_estimates",
        "graph_expectation",
    ]
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            *[f"tests/{file}_test.py" for file in files],
        ],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
