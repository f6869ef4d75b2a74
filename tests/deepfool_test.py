"""DeepFool against the distance to a plane, and its own rules."""

import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import Classifier, DeepFool


def test_one_step_is_exact_on_a_linear_model(rng):
    weights = rng.standard_normal((4, 3)).astype("float32")

    def logits_fn(images):
        return ops.matmul(ops.reshape(images, (-1, 4)) - 0.5, weights)

    images = rng.uniform(0.45, 0.55, (20, 2, 2, 1)).astype("float32")
    logits = np.asarray(logits_fn(images))
    change, fools = DeepFool(overshoot=0.0).perturbations(logits_fn, images)
    assert fools.all()
    for image_logits, vector in zip(logits, change, strict=True):
        left = np.argmax(image_logits)
        others = [c for c in range(3) if c != left]
        normals = [weights[:, c] - weights[:, left] for c in others]
        distances = [
            (image_logits[left] - image_logits[c]) / np.linalg.norm(normal)
            for c, normal in zip(others, normals, strict=True)
        ]
        nearest = np.argmin(distances)
        unit = normals[nearest] / np.linalg.norm(normals[nearest])
        # Its authors add 1e-4 to the length.
        np.testing.assert_allclose(
            vector.reshape(4), (distances[nearest] + 1e-4) * unit, atol=1e-5
        )


def test_fools_a_curved_model_and_ignores_the_labels(rng):
    inner = rng.standard_normal((4, 16)).astype("float32")
    outer = rng.standard_normal((16, 3)).astype("float32")

    def logits_fn(images):
        flat = ops.reshape(images, (-1, 4)) - 0.5
        return ops.matmul(ops.tanh(3 * ops.matmul(flat, inner)), outer)

    images = rng.uniform(0.3, 0.7, (30, 2, 2, 1)).astype("float32")
    before = np.argmax(logits_fn(images), axis=1)
    classifier = Classifier(logits_fn)
    adversarial = DeepFool()(classifier, images, np.zeros(30, "int32"))
    after = np.argmax(logits_fn(adversarial), axis=1)
    assert np.all(before != after)
    np.testing.assert_array_equal(
        adversarial, DeepFool()(classifier, images, np.ones(30, "int32"))
    )


@pytest.mark.parametrize("factor", [1e-30, 1e-9, 1e9])
def test_does_not_depend_on_the_scale_of_logits(factor, rng):
    weights = rng.standard_normal((4, 3)).astype("float32")

    def scaled(factor):
        return lambda images: (
            factor * ops.matmul(ops.reshape(images, (-1, 4)) - 0.5, weights)
        )

    images = rng.uniform(0.4, 0.6, (20, 2, 2, 1)).astype("float32")
    expected, _ = DeepFool().perturbations(scaled(1.0), images)
    found, fools = DeepFool().perturbations(scaled(factor), images)
    assert fools.all()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_stays_where_there_is_no_gradient(rng):
    def constant(images):
        scores = 0 * ops.sum(images, axis=(1, 2, 3))
        return ops.stack([scores + 1, scores], axis=1)

    images = rng.uniform(0, 1, (3, 2, 2, 1)).astype("float32")
    change, fools = DeepFool(max_steps=3).perturbations(constant, images)
    np.testing.assert_array_equal(change, np.zeros_like(images))
    assert not fools.any()


@pytest.mark.parametrize("num_classes", [2, 10])
def test_looks_at_the_likeliest_classes(num_classes):
    # Class 2 is nearer, but class 1 is likelier.
    weights = np.array([[0.0, 0.1, -10.0]], "float32")

    def logits_fn(images):
        flat = ops.reshape(images, (-1, 1)) - 0.5
        return ops.matmul(flat, weights) + np.array([1, 0.99, 0.9], "f4")

    images = np.full((1, 1, 1, 1), 0.5, "float32")
    change, _ = DeepFool(num_classes=num_classes, max_steps=1).perturbations(
        logits_fn, images
    )
    assert (change[0, 0, 0, 0] > 0) == (num_classes == 2)
