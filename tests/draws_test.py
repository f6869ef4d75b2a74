"""Random numbers without a state: the same from the same key, else others."""

import pathlib
import re

import numpy as np
import pytest
from keras import ops

from peernets_tf.attacks import autodiff, draws
from peernets_tf.attacks.auto_ascent import AutoAscent
from peernets_tf.attacks.classifier import Classifier


def mixed(bits):
    """The finalizer of MurmurHash3, in Python's integers."""
    bits = (bits ^ bits >> 16) * 0x85EBCA6B % 2**32
    bits = (bits ^ bits >> 13) * 0xC2B2AE35 % 2**32
    return bits ^ bits >> 16


@pytest.mark.parametrize("key", [0, 1, 2**31 + 5, 2**32 - 1])
def test_numbers_are_those_of_integers(key):
    expected = [
        (mixed((key + i * 0x9E3779B9) % 2**32) >> 8) / 2**24
        for i in range(1, 6)
    ]
    np.testing.assert_array_equal(draws.uniform(key, 5), expected)
    compiled = autodiff.compiled(lambda key: draws.uniform(key, 5))
    np.testing.assert_array_equal(compiled(np.uint32(key)), expected)
    folded = int(draws.fold(key, 9))
    assert folded == mixed((mixed(key) + 9) % 2**32)


def test_numbers_are_uniform_and_independent():
    numbers = np.array([draws.uniform(key, 200) for key in range(50)])
    assert 0 <= numbers.min() < 1e-3
    assert 1 - 1e-3 < numbers.max() < 1
    # The mean of 10,000 has a standard deviation of 0.0029.
    assert numbers.mean() == pytest.approx(0.5, abs=0.01)
    assert numbers.var() == pytest.approx(1 / 12, abs=0.003)
    neighbors = np.corrcoef(numbers[:-1].ravel(), numbers[1:].ravel())
    assert abs(neighbors[0, 1]) < 0.04
    neighbors = np.corrcoef(numbers[:, :-1].ravel(), numbers[:, 1:].ravel())
    assert abs(neighbors[0, 1]) < 0.04


def test_a_column_of_keys_gives_rows():
    keys = draws.fold(5, np.arange(3)[:, None])
    for row, key in zip(draws.uniform(keys, 4), keys, strict=True):
        np.testing.assert_array_equal(row, draws.uniform(key[0], 4))


def test_normal_numbers():
    numbers = np.asarray(draws.normal(3, 10_000))
    assert np.isfinite(numbers).all()
    # The mean has a standard deviation of 0.01, the variance of 0.014.
    assert numbers.mean() == pytest.approx(0, abs=0.04)
    assert numbers.var() == pytest.approx(1, abs=0.06)
    assert np.mean(numbers < -1) == pytest.approx(0.1587, abs=0.015)
    assert np.mean(numbers > 2) == pytest.approx(0.0228, abs=0.006)


def test_chosen_numbers_are_distinct_and_all_occur():
    chosen = np.array([draws.choose(key, 5, 3) for key in range(300)])
    assert all(len(set(row)) == 3 for row in chosen.tolist())
    counts = np.bincount(chosen.ravel(), minlength=5)
    # 180 on average, with a standard deviation of 8.5.
    assert len(counts) == 5
    assert np.all(np.abs(counts - 180) < 40)


def test_keys_nest_and_end():
    assert draws.current_key() == 0
    with draws.key_scope(3):
        with pytest.raises(KeyError), draws.key_scope(4):
            assert draws.current_key() == 4
            raise KeyError
        assert draws.current_key() == 3
    assert draws.current_key() == 0


def random_logits(images):
    numbers = draws.uniform(draws.current_key(), 2)
    return ops.zeros((ops.shape(images)[0], 2)) + numbers


def test_each_iteration_has_another_key():
    def collect(logits_fn, images):
        def body(i, state):
            return state + ops.one_hot(i, 4)[:, None] * logits_fn(images)[0]

        found = draws.fori_loop(0, 4, body, ops.zeros((4, 2)))
        return found[None], logits_fn(images)[None]

    classifier = Classifier(random_logits)
    image = np.zeros((1, 2, 2, 1), "float32")
    with classifier.seeded(2):
        loop, outside = classifier.call(collect, image)
    with classifier.seeded(2):
        key = classifier.next_key()
    expected = [draws.uniform(draws.fold(key, i), 2) for i in range(4)]
    np.testing.assert_array_equal(loop[0], expected)
    np.testing.assert_array_equal(outside[0, 0], draws.uniform(key, 2))


def test_every_pass_of_apgd_draws_anew():
    ascent = AutoAscent(
        norm="l2",
        loss="margin",
        targeted=False,
        has_targets=False,
        expectation=4,
    )

    def ask(logits_fn, images):
        def value_and_logits(images):
            logits = logits_fn(images)
            return logits[:, 0] * ops.sum(images, axis=(1, 2, 3)), logits

        return ascent._ask(value_and_logits, images)

    classifier = Classifier(random_logits)
    image = np.ones((1, 2, 2, 1), "float32")
    with classifier.seeded(2):
        value, logits, gradient = classifier.call(ask, image)
    with classifier.seeded(2):
        key = classifier.next_key()
    keys = [key, *(draws.fold(key, i) for i in range(1, 4))]
    mean = np.mean([draws.uniform(key, 2) for key in keys], axis=0)
    np.testing.assert_allclose(logits[0], mean, atol=1e-6)
    np.testing.assert_allclose(value[0], 4 * mean[0], atol=1e-6)
    np.testing.assert_allclose(gradient, mean[0] * image, atol=1e-6)


def test_attacks_loop_with_keys():
    """A loop without keys would see the same draws in each step."""
    folder = pathlib.Path(draws.__file__).parent
    for path in [*folder.glob("*.py"), *folder.parent.glob("evaluation/*.py")]:
        if path.name != "draws.py":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"ops\.(fori_loop|while_loop|scan)\(", text)


def test_a_classifier_draws_anew_in_each_call():
    classifier = Classifier(random_logits)
    image = np.zeros((1, 2, 2, 1), "float32")

    def three():
        return [classifier.logits(image).tolist() for _ in range(3)]

    with classifier.seeded(0, 1):
        first = three()
        with classifier.seeded(9):
            other = three()
        # As if nothing had come between.
        rest = three()
    with classifier.seeded(0, 1):
        assert three() + three() == first + rest
    drawn = first + rest + other
    assert all(drawn.count(logits) == 1 for logits in drawn)
