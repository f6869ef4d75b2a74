"""APGD against the authors' algorithm, written out for one image."""

import dataclasses
import math

import keras
import numpy as np
import pytest
from keras import ops
from linear_model import DIRECTION, IMAGES, LABELS, linear
from waves import SHAPE, gradient_of, logits_of, waves

from peernets_tf.attacks import APGD, PGD, Classifier, apgd, draws, norms
from peernets_tf.attacks.auto_ascent import AutoAscent, State
from peernets_tf.seeds import Stream, generator

ASCENT = AutoAscent(
    norm="linf",
    loss="cross_entropy",
    targeted=False,
    has_targets=False,
    expectation=1,
)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(waves)


@pytest.fixture
def batch(rng, classifier):
    images = rng.uniform(0, 1, (30, *SHAPE)).astype("float32")
    return images, classifier.predict(images)


def losses_and_slopes(logits, label, loss, target):
    """A loss and its gradient with respect to the logits."""
    if loss == "cross_entropy":
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        return -np.log(shares[label]), shares - np.eye(3)[label]
    order = np.argsort(-logits)
    if target is None:
        target = order[1] if order[0] == label else order[0]
    gap = logits[target] - logits[label]
    spread = logits[order[0]] - logits[order[2]]
    slope = (np.eye(3)[target] - np.eye(3)[label]) / spread
    slope -= gap / spread**2 * (np.eye(3)[order[0]] - np.eye(3)[order[2]])
    return gap / spread, slope


def reference(attack, image, label, start):
    """Returns the best iterate, or None if one fools the model."""
    image, x = (a.ravel().astype(float) for a in (image, start))
    epsilon = attack.epsilon

    def inside(point):
        delta = point - image
        if attack.norm == "linf":
            delta = np.clip(delta, -epsilon, epsilon)
        else:
            delta *= min(1, epsilon / max(np.linalg.norm(delta), 1e-12))
        return np.clip(image + delta, 0, 1)

    def ask(x):
        logits = logits_of(x)
        value, slope = losses_and_slopes(logits, label, attack.loss, None)
        return value, gradient_of(x, slope), np.argmax(logits) != label

    value, gradient, is_fooled = ask(x)
    best, best_value, best_gradient = x, value, gradient
    values, old = [value], x
    step_size, halved, checked = 2 * epsilon, True, value
    last = 0
    for i in range(attack.steps):
        if is_fooled:
            return None
        direction = np.sign(gradient)
        if attack.norm == "l2":
            direction = gradient / np.linalg.norm(gradient)
        z = inside(x + step_size * direction)
        share = 0.75 if i > 0 else 1.0
        new = inside(x + share * (z - x) + (1 - share) * (x - old))
        old, x = x, new
        value, gradient, is_fooled = ask(x)
        values.append(value)
        if value > best_value:
            best, best_value, best_gradient = x, value, gradient
        if i + 1 in apgd.checkpoints(attack.steps):
            period = i + 1 - last
            grew = np.sum(np.diff(values[last:]) > 0)
            stalls = grew <= 0.75 * period or (
                not halved and best_value <= checked
            )
            if stalls:
                step_size /= 2
                x, gradient = best, best_gradient
            halved, checked, last = stalls, best_value, i + 1
    return None if is_fooled else best


@pytest.mark.parametrize(
    "attack",
    [
        APGD(epsilon=0.03, steps=20),
        APGD(epsilon=0.03, steps=34, loss="dlr"),
        APGD(epsilon=0.1, steps=34, norm="l2"),
        APGD(epsilon=0.15, steps=20, norm="l2", loss="dlr"),
    ],
    ids=repr,
)
def test_is_the_authors_algorithm(attack, classifier, batch):
    images, labels = batch
    start = norms.random_start(
        images,
        attack.norm,
        np.full(30, attack.epsilon, "float32"),
        generator(Stream.APGD_START, 4, 0, 0),
    )
    found = attack(classifier, images, labels, seed=4)
    fooled, differences = [], []
    for i in range(30):
        expected = reference(attack, images[i], labels[i], start[i])
        fooled.append(expected is None)
        if expected is not None:
            differences.append(np.abs(found[i].ravel() - expected))
    np.testing.assert_array_equal(classifier.predict(found) != labels, fooled)
    assert 5 < np.sum(fooled) < 25
    # At a maximum of the loss, rounding decides the sign of a gradient.
    tolerance = 1e-6 if attack.norm == "linf" else 1e-4
    assert np.quantile(differences, 0.95) < tolerance


def test_checkpoints_are_those_of_the_paper():
    places = [0, 0.22]
    while places[-1] < 1:
        places.append(places[-1] + max(places[-1] - places[-2] - 0.03, 0.06))
    expected = [math.ceil(round(100 * p, 6)) for p in places[1:-1]]
    assert expected == [22, 41, 57, 70, 80, 87, 93, 99]
    assert apgd.checkpoints(100) == expected
    # The authors' program rounds down for other numbers of steps.
    assert apgd.checkpoints(20) == [4, 7, 9, *range(10, 21)]
    assert apgd.checkpoints(1) == [1]


def test_all_parts_end_at_checkpoints():
    for steps in (1, 5, 20, 100):
        parts = list(apgd._parts(steps))
        assert sum(count for count, _ in parts) == steps + 1
        ends = np.cumsum([count for count, _ in parts]) - 1
        periods = [period for _, period in parts]
        at_checkpoints = [
            int(end)
            for end, period in zip(ends, periods, strict=True)
            if period
        ]
        assert at_checkpoints == sorted({*apgd.checkpoints(steps), steps})
        assert sum(periods) == steps


def test_when_step_sizes_are_halved():
    """At the end of a period of 4 steps; three increases are still few."""
    increases = np.array([3, 4, 4, 4, 3, 3], "float32")
    halved = np.array([True, True, False, False, True, True])
    # The loss at 0.5 is log 2, that of the best iterate is larger or smaller.
    best = np.array([0.9, 0.9, 0.9, 0.9, 0.9, 0.1], "float32")
    # Whether the best loss has grown since the last checkpoint.
    checked = np.array([0.0, 0.0, 9.0, 0.0, 0.0, 0.0], "float32")
    expected = np.array([0.5, 1.0, 0.5, 1.0, 0.5, 0.5])

    def logits_fn(images):
        x = ops.reshape(images, (-1, 1))
        return ops.concatenate([-20 * x, 0 * x - 10], axis=1)

    images = ops.convert_to_tensor(np.full((6, 1, 1, 1), 0.5, "float32"))
    one = ops.ones(6)
    arrays = State(
        iterates=images,
        previous=images,
        best=best.reshape(6, 1, 1, 1),
        best_gradient=-np.ones((6, 1, 1, 1), "float32"),
        step_size=one,
        value=0 * one,
        best_value=np.where(best > 0.5, 5, 0).astype("float32"),
        checked_value=checked,
        increases=increases - 1,
        halved=halved,
        result=images,
        result_value=0 * one,
        fooled=0 * one,
        is_finite=one > 0,
    )
    state = State._make(map(ops.convert_to_tensor, arrays))
    labels = np.zeros(6, "int32")

    def run(period):
        return ASCENT.run(
            logits_fn, state, images, labels, labels, one, 1, period
        )

    found = run(4)
    np.testing.assert_allclose(found.step_size, expected)
    is_halved = expected < 1
    np.testing.assert_array_equal(found.halved, is_halved)
    np.testing.assert_array_equal(found.increases, 0 * one)
    np.testing.assert_allclose(found.checked_value, found.best_value)
    # The halved ones went back to the best before the step.
    best[5] = 0.5
    back = np.where(is_halved, best, 0.5)
    np.testing.assert_allclose(ops.reshape(found.previous, (6,)), back)
    # Without a checkpoint only the loss is noted.
    found = run(0)
    np.testing.assert_allclose(found.step_size, one)
    np.testing.assert_array_equal(found.halved, halved)
    np.testing.assert_array_equal(found.increases, increases)
    np.testing.assert_allclose(found.checked_value, checked)


def test_reaches_the_best_point_of_the_ball():
    def logits_fn(images):
        # Nothing fools this model, so all steps are taken.
        return linear(images) + np.array([9, 0], "float32")

    def change(**options):
        attack = APGD(epsilon=0.1, **options)
        return (attack(logits_fn, IMAGES, LABELS) - IMAGES).reshape(4)

    # The third value has no gradient and stays where it started.
    np.testing.assert_allclose(
        change(steps=20)[[0, 1, 3]], 0.1 * np.array([1, -1, 1]), atol=1e-6
    )
    unit = DIRECTION / np.linalg.norm(DIRECTION)
    np.testing.assert_allclose(
        change(steps=50, norm="l2"), 0.1 * unit, atol=3e-3
    )


def losses_of(attack, classifier, images, labels):
    """The cross-entropies of adversarial images, and who is not fooled."""
    adversarial = attack(classifier, images, labels, seed=1)
    logits = classifier.logits(adversarial)
    values = ops.sparse_categorical_crossentropy(
        labels, logits, from_logits=True
    )
    robust = np.argmax(logits, axis=1) == labels
    return ops.convert_to_numpy(values), robust


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.05), ("l2", 0.2)])
def test_is_stronger_than_pgd_of_as_many_steps(norm, epsilon, rng, classifier):
    images = rng.uniform(0, 1, (60, *SHAPE)).astype("float32")
    # The least likely class: nobody is fooled, so all steps are taken.
    logits = classifier.logits(images)
    labels = np.argmax(logits, axis=1).astype("int32")
    options = {"norm": norm, "epsilon": epsilon / 4, "steps": 30}
    ours, robust = losses_of(APGD(**options), classifier, images, labels)
    pgd, _ = losses_of(PGD(**options), classifier, images, labels)
    assert np.sum(robust) > 10
    assert np.mean(ours[robust]) >= np.mean(pgd[robust]) - 1e-4
    more, _ = losses_of(APGD(**options, restarts=3), classifier, images, labels)
    assert np.all(more[robust] >= ours[robust] - 1e-5)


def test_targeted_reaches_its_class(classifier, rng):
    images = rng.uniform(0, 1, (30, *SHAPE)).astype("float32")
    labels = (classifier.predict(images) + 1) % 3
    attack = APGD(epsilon=0.1, steps=20, targeted=True, loss="margin")
    adversarial = attack(classifier, images, labels)
    reached = np.mean(classifier.predict(adversarial) == labels)
    other = APGD(epsilon=0.1, steps=20)(classifier, images, labels)
    assert reached > 0.7
    assert reached > np.mean(classifier.predict(other) == labels)


def test_one_target_after_the_other(rng):
    """Each further target fools more, and none of the others less."""
    weights = rng.standard_normal((24, 6)).astype("float32")

    def logits_fn(images):
        return ops.matmul(ops.sin(5 * ops.reshape(images, (-1, 24))), weights)

    classifier = Classifier(logits_fn)
    images = rng.uniform(0, 1, (80, *SHAPE)).astype("float32")
    labels = classifier.predict(images)

    def fooled(num_targets):
        attack = APGD(
            epsilon=0.02, steps=10, loss="dlr", num_targets=num_targets
        )
        adversarial = attack(classifier, images, labels)
        return classifier.predict(adversarial) != labels

    one, two, all_wrong = fooled(1), fooled(2), fooled(9)
    assert np.all(two >= one)
    assert np.all(all_wrong >= two)
    assert 10 < np.sum(one) < np.sum(all_wrong) < 70


def test_asks_until_an_image_is_fooled(rng):
    images = rng.uniform(0, 1, (5, 2, 2, 1)).astype("float32")
    labels = np.zeros(5, "int32")
    for bias, options, expected in [
        ([9, 0], {}, 5 * (12 + 1)),
        ([9, 0], {"restarts": 3}, 5 * 3 * (12 + 1)),
        ([9, 0], {"expectation": 4}, 5 * 4 * (12 + 1)),
        # The first answer is about the start.
        ([0, 9], {"restarts": 3}, 5),
    ]:
        logits = np.array(bias, "float32")
        classifier = Classifier(lambda x, b=logits: 0 * linear(x) + b)
        APGD(steps=12, **options)(classifier, images, labels)
        assert classifier.queries == expected


def test_goes_on_with_images_that_are_fooled(rng, classifier):
    """A larger loss may fool other draws and other graphs, too."""
    images = rng.uniform(0, 1, (60, *SHAPE)).astype("float32")
    labels = classifier.predict(images)
    stops = APGD(epsilon=0.06, steps=15, restarts=2)
    goes_on = dataclasses.replace(stops, stop_when_fooled=False)
    before = classifier.queries
    stopped, robust = losses_of(stops, classifier, images, labels)
    stopped_queries = classifier.queries - before
    found, still_robust = losses_of(goes_on, classifier, images, labels)
    queries = classifier.queries - before - stopped_queries
    assert 10 < robust.sum() < 50
    # The same images are fooled, with larger losses.
    np.testing.assert_array_equal(still_robust, robust)
    assert np.all(found >= stopped - 1e-5)
    assert np.mean(found[~robust]) > np.mean(stopped[~robust]) + 0.1
    # Every run that has begun is ended, and begins where none has fooled.
    # 60 queries tell who is fooled.
    once = dataclasses.replace(goes_on, restarts=1)
    _, left = losses_of(once, classifier, images, labels)
    assert queries == (60 + np.sum(left)) * (15 + 1) + 60 > stopped_queries


def test_expectation_does_not_matter_without_randomness(classifier, batch):
    images, labels = batch
    once, often = (
        APGD(epsilon=0.01, steps=9, expectation=n)(classifier, images, labels)
        for n in (1, 5)
    )
    np.testing.assert_allclose(once, often, atol=1e-5)


def draw_by_seed():
    """Returns a function that draws by the state of a generator."""
    if keras.backend.backend() == "jax":
        pytest.skip("on JAX a model must not change its seed")
    seeds = keras.random.SeedGenerator(0)
    return lambda: keras.random.normal((400,), seed=seeds)


def draw_by_key():
    """Returns a function that draws by the key of each call."""
    return lambda: 12**0.5 * (draws.uniform(draws.current_key(), 400) - 0.5)


@pytest.mark.parametrize("make_draw", [draw_by_seed, draw_by_key])
def test_expectation_finds_the_mean_direction(make_draw):
    """Single draws of the gradient mostly point anywhere."""
    draw = make_draw()
    direction = np.where(np.arange(400) % 2, 1, -1).astype("float32")

    def logits_fn(images):
        flat = ops.reshape(images, (-1, 400)) - 0.5
        other = ops.matmul(flat, (direction + 4 * draw())[:, None])
        return ops.concatenate([0 * other + 1e3, other], axis=1)

    images = np.full((1, 20, 20, 1), 0.5, "float32")

    def reached(expectation):
        attack = APGD(
            epsilon=0.1, steps=1, loss="margin", expectation=expectation
        )
        adversarial = attack(logits_fn, images, np.zeros(1, "int32"))
        found = (adversarial - images).ravel() @ direction
        return found / (0.1 * 400)

    # The sign of a mean of n draws is right with a probability that grows
    # from 0.6 for n = 1 to 0.95 for n = 40.
    assert reached(1) < 0.4
    assert reached(40) > 0.7


def test_goes_back_to_the_largest_loss_and_returns_what_fools():
    """The targeted DLR loss may fall at the iterate that fools."""
    one = np.ones(1, "float32")
    image = np.full((1, 1, 1, 1), 0.5, "float32")
    state = State.at(image, one)._replace(
        best=image + 0.4, best_value=9 * one, result_value=9 * one
    )

    def fooled(images):
        x = ops.reshape(images, (-1, 1))
        return ops.concatenate([x, x + 1], axis=1)

    label = np.zeros(1, "int32")
    found = ASCENT.run(
        fooled,
        State._make(map(ops.convert_to_tensor, state)),
        *map(ops.convert_to_tensor, (image, label, label, one)),
        1,
        0,
    )
    np.testing.assert_allclose(found.best, image + 0.4)
    np.testing.assert_allclose(found.best_value, 9 * one)
    np.testing.assert_allclose(found.result, image)
    np.testing.assert_allclose(found.fooled, one)


def test_a_default_of_64_bits_changes_nothing():
    attack = APGD(epsilon=0.1, steps=5)
    expected = attack(Classifier(linear), IMAGES, LABELS)
    keras.config.set_floatx("float64")
    try:
        found = attack(Classifier(linear), IMAGES, LABELS)
    finally:
        keras.config.set_floatx("float32")
    np.testing.assert_allclose(found, expected, atol=1e-6)
