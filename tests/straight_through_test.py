"""BPDA for bounded ReLUs and reformers: equal logits, the gradient promised."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from peernets_tf import (
    PeerRegularization,
    evaluation,
    models,
    monte_carlo,
    set_peers,
)
from peernets_tf.adaptive import bpda, hides_gradient
from peernets_tf.attacks import autodiff
from peernets_tf.defenses import Detector, magnet
from peernets_tf.errors import UserError
from peernets_tf.evaluation import AttackConfig

SHAPE = (4, 4, 1)


@pytest.fixture
def images(rng):
    return rng.random((6, *SHAPE)).astype("float32")


def gradient(logits_fn, images):
    def value(images):
        return ops.sum(ops.square(logits_fn(images)), axis=1), images

    function = autodiff.compiled(
        lambda images: autodiff.value_and_gradient(value, images)[2]
    )
    return ops.convert_to_numpy(function(ops.convert_to_tensor(images)))


def make_bounded(bound):
    """A network with an unbounded gradient only if `bound` is None."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input(SHAPE)
    x = layers.Flatten()(4 * inputs)
    x = layers.ReLU(max_value=bound)(x)
    return keras.Model(inputs, layers.Dense(3)(x), name="bounded")


def test_a_bounded_relu(images):
    model = make_bounded(1.0)
    assert hides_gradient(model)
    assert not hides_gradient(make_bounded(None))
    before = models.config_sha256(model)
    view = bpda(monte_carlo(model))
    assert models.config_sha256(model) == before
    np.testing.assert_array_equal(view(images), model(images))
    exact, found = gradient(model, images), gradient(view, images)
    is_hidden = 4 * images > 1
    assert 0 < is_hidden.sum() < is_hidden.size
    assert not exact[is_hidden].any()
    assert found[is_hidden].all()
    np.testing.assert_allclose(found[~is_hidden], exact[~is_hidden], rtol=1e-5)


def test_a_compiled_model_with_lists_and_a_loss_of_ones_own(images):
    """Keras compiles a clone, too, and cannot serialize the loss."""
    model = make_bounded(1.0)
    listed = keras.Model(model.inputs, model.outputs)
    listed.compile(loss=lambda labels, logits: ops.mean(logits, axis=-1))
    np.testing.assert_array_equal(
        gradient(bpda(listed), images), gradient(bpda(model), images)
    )


def test_the_bounded_resnet(rng):
    images = rng.random((2, 32, 32, 3)).astype("float32")
    model = models.build("brelu_resnet32", (32, 32, 3), 10)
    view = bpda(model)
    np.testing.assert_allclose(view(images), model(images), atol=1e-6)
    assert view.count_params() == model.count_params()


def defended(classifier, images):
    """MagNet whose autoencoder takes the square."""
    inputs = keras.Input(SHAPE)
    square = keras.Model(inputs, ops.square(inputs))
    return magnet(
        classifier,
        reformer=square,
        detectors=[Detector(autoencoder=square, norm=1)],
        validation_images=images,
        false_positive_rate=0.3,
    )


def test_a_reformer(images, tmp_path):
    """The classifier sees squares, and its gradient goes to the images."""
    model = make_bounded(None)
    models.save(defended(model, images), str(tmp_path / "model.keras"))
    # A new process gives the names of the file's operations once more.
    keras.utils.clear_session()
    whole = models.load(tmp_path / "model.keras")
    assert hides_gradient(whole)
    view = bpda(whole)
    np.testing.assert_array_equal(view(images), whole(images))
    found = gradient(lambda x: view(x)[:, :3], images)
    expected = gradient(model, images**2)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    # The detectors keep their gradient.
    for function in (whole, view):
        score = gradient(
            lambda x, f=function: (
                f(x)[:, 3:] - ops.max(f(x)[:, :3], 1)[:, None]
            ),
            images,
        )
        assert score.any()


def test_a_bounded_relu_behind_a_reformer(images):
    model = make_bounded(1.0)
    view = bpda(defended(model, images))
    found = gradient(lambda x: view(x)[:, :3], images)
    expected = gradient(bpda(model), images**2)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_bounded_relu_that_detectors_call_too(images):
    """A detector by temperature calls the classifier on images, too."""
    model = make_bounded(1.0)
    inputs = keras.Input(SHAPE)
    square = keras.Model(inputs, ops.square(inputs))
    whole = magnet(
        model,
        reformer=square,
        detectors=[Detector(autoencoder=square, temperature=10)],
        validation_images=images,
        false_positive_rate=0.3,
    )
    view = bpda(whole)
    np.testing.assert_array_equal(view(images), whole(images))
    found = gradient(lambda x: view(x)[:, :3], images)
    expected = gradient(bpda(model), images**2)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    # The detector follows it, too.
    hidden = gradient(lambda x: whole(x)[:, 3:], images)
    score = gradient(lambda x: view(x)[:, 3:], images)
    assert not np.allclose(score, hidden)


def test_one_bounded_relu_that_is_called_twice(images):
    bounded = layers.ReLU(max_value=1.0)
    inputs = keras.Input(SHAPE)
    x = bounded(4 * inputs)
    x = layers.Flatten()(bounded(4 * x))
    model = keras.Model(inputs, layers.Dense(3)(x))
    view = bpda(model)
    np.testing.assert_array_equal(view(images), model(images))
    assert gradient(view, images).all()
    assert not gradient(model, images)[4 * images > 1].any()


def test_a_sequential_model_behind_a_reformer(images):
    """Of a leaky ReLU, the gradient below 0 stays."""
    keras.utils.set_random_seed(0)
    bounded = layers.ReLU(max_value=1.0, negative_slope=0.5)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Flatten(),
            layers.Rescaling(8.0, offset=-4.0),
            bounded,
            layers.Dense(3),
        ]
    )
    for whole in (model, defended(model, images)):
        view = bpda(monte_carlo(whole))
        np.testing.assert_array_equal(view(images), whole(images))
    found, exact = gradient(bpda(model), images), gradient(model, images)
    is_hidden = images > 5 / 8
    assert not exact[is_hidden].any() and found[is_hidden].all()
    np.testing.assert_allclose(found[~is_hidden], exact[~is_hidden], rtol=1e-4)


def test_models_whose_gradient_stays(images):
    """A PeerNet's own layers are replaced, and a subclass has no graph."""

    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = make_bounded(1.0)

        def call(self, inputs):
            return self.inner(inputs)

    inputs = keras.Input(SHAPE)
    x = PeerRegularization(num_neighbors=2)(inputs)
    x = layers.ReLU(max_value=0.5)(x)
    peernet = keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
    set_peers(peernet, images)
    for model in (Subclassed(), peernet, defended(peernet, images)):
        assert not hides_gradient(model)
        view = bpda(monte_carlo(model))
        np.testing.assert_allclose(view(images), model(images), atol=1e-5)


def test_evaluations_follow_both_gradients():
    pgd = AttackConfig(name="pgd")
    bounded, plain = make_bounded(1.0), make_bounded(None)
    both = ("exact", "identity")
    assert evaluation.backward_passes(bounded, pgd, None) == both
    assert evaluation.backward_passes(monte_carlo(bounded), pgd, None) == both
    assert evaluation.backward_passes(plain, pgd, None) == ("exact",)
    settings = {"suite": "autoattack", "budget": 0.02, "epsilon": 0.1}
    images, labels = np.full((2, *SHAPE), 0.5, "float32"), np.array([0, 1])
    for model in (bounded, plain):
        found = evaluation.robust_accuracy(model, images, labels, **settings)
        probed = "apgd-ce-identity" in found.outcomes
        assert probed == (model is bounded)
    evaluation.robust_accuracy(
        bounded, images, labels, backward="identity", **settings
    )
    with pytest.raises(UserError, match="instead of a function"):
        evaluation.robust_accuracy(
            lambda images: bounded(images),
            images,
            labels,
            backward="identity",
            **settings,
        )
    for model, backward in ((bounded, "soft"), (plain, "identity")):
        with pytest.raises(UserError, match="no PeerRegularization layer"):
            evaluation.robust_accuracy(
                model, images, labels, backward=backward, **settings
            )
