"""Square against the authors' algorithm, written out for one image."""

import numpy as np
import pytest
from keras import ops
from linear_model import linear

from peernets_tf.attacks import Classifier, RandomNoise, Square
from peernets_tf.errors import AttackError
from peernets_tf.seeds import Stream, generator

SHAPE = (11, 9, 2)
WEIGHTS = np.random.default_rng(0).standard_normal((198, 3)).astype("float32")


def bumpy(images):
    flat = ops.reshape(images, (-1, WEIGHTS.shape[0]))
    return ops.matmul(ops.sin(9 * flat), WEIGHTS)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(bumpy)


@pytest.fixture
def batch(rng, classifier):
    images = rng.uniform(0, 1, (8, *SHAPE)).astype("float32")
    return images, classifier.predict(images)


def share_of_changed_pixels(attack, query):
    """`p_selection` of the authors."""
    it = query
    if attack.rescale_schedule:
        it = int(query / attack.queries * 10000)
    bounds = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
    return attack.p_init / 2 ** sum(it > bound for bound in bounds)


def rectangles(height, width):
    """`pseudo_gaussian_pert_rectangles` of the authors."""
    delta = np.zeros((height, width))
    middle = [height // 2, width // 2]
    for i in range(max(middle) + 1):
        top, left = middle[0] - i, middle[1] - i
        delta[
            max(top, 0) : min(top + 2 * i + 1, height),
            max(left, 0) : min(left + 2 * i + 1, width),
        ] += 1 / (i + 1) ** 2
    return delta / np.sqrt(np.sum(delta**2))


def bump(side, is_transposed):
    """`meta_pseudo_gaussian_pert` of the authors."""
    half = side // 2
    parts = [rectangles(half, side), -rectangles(side - half, side)]
    if half == 0:
        parts = parts[1:]
    delta = np.concatenate(parts)
    delta /= np.sqrt(np.sum(delta**2))
    return delta.T if is_transposed else delta


class Draws:
    """The random numbers of the attack, in the order in which it draws."""

    def __init__(self, attack, seed):
        self.rng = generator(Stream.SQUARE, seed)
        self.is_l2 = attack.norm == "l2"
        self.attack = attack

    def start(self):
        height, width, channels = SHAPE
        if not self.is_l2:
            return self.rng.choice([-1, 1], (1, width, channels)) * np.ones(
                SHAPE
            )
        side = min(height, width) // 5
        delta = np.zeros(SHAPE)
        for row in range(height // side):
            for column in range(width // side):
                top = (height - height // side * side) // 2 + row * side
                left = (width - width // side * side) // 2 + column * side
                square = bump(side, self.rng.integers(0, 2) == 1)
                signs = self.rng.choice([-1, 1], channels)
                delta[top : top + side, left : left + side] = (
                    square[:, :, None] * signs
                )
        return delta / np.sqrt(np.sum(delta**2))

    def moves(self):
        """Returns sides, places, bumps, other places and signs."""
        height, width, channels = SHAPE
        queries = self.attack.queries
        sides = []
        for query in range(queries - 1):
            p = share_of_changed_pixels(self.attack, query)
            side = int(round(np.sqrt(p * height * width)))
            if self.is_l2:
                side = max(side, 3)
                side += side % 2 == 0
            sides.append(min(max(side, 1), height, width))
        sides = np.array(sides)
        draw = self.rng.integers
        tops = draw(0, height - sides + 1)
        lefts = draw(0, width - sides + 1)
        transposed = draw(0, 2, len(sides))
        others = (draw(0, height - sides + 1), draw(0, width - sides + 1))
        signs = 2 * draw(0, 2, (queries, channels))[1:] - 1
        return zip(
            *(sides, tops, lefts, transposed, *others, signs), strict=True
        )


def next_l2(delta, epsilon, side, top, left, is_transposed, top2, left2, signs):
    """The update of the authors' `square_attack_l2`."""
    window = np.s_[top : top + side, left : left + side]
    mask = np.zeros(SHAPE)
    mask[window] = 1
    norm_window = np.sqrt(np.sum((delta * mask) ** 2, axis=(0, 1)))
    norm_image = np.sqrt(np.sum(delta**2))
    mask[top2 : top2 + side, left2 : left2 + side] = 1
    norms_windows = np.sqrt(np.sum((delta * mask) ** 2, axis=(0, 1)))
    new = bump(side, is_transposed)[:, :, None] * signs
    new = new + delta[window] / (1e-10 + norm_window)
    new = new / np.sqrt(np.sum(new**2, axis=(0, 1)))
    new *= np.sqrt(
        np.maximum(epsilon**2 - norm_image**2, 0) / SHAPE[2] + norms_windows**2
    )
    delta = delta.copy()
    delta[top2 : top2 + side, left2 : left2 + side] = 0
    delta[window] = new
    return delta / np.sqrt(np.sum(delta**2)) * epsilon


def reference(attack, image, label, seed):
    """Returns the adversarial image and the queries that it took."""

    def ask(image):
        logits = np.asarray(bumpy(image[None].astype("float32")))[0]
        others = np.delete(logits, label)
        if attack.targeted:
            log_sum = np.log(np.sum(np.exp(logits)))
            return logits[label] - log_sum, logits[label] > others.max()
        margin = others.max() - logits[label]
        return margin, margin > 0

    draws = Draws(attack, seed)
    epsilon = attack.epsilon
    best = np.clip(image + epsilon * draws.start(), 0, 1)
    value, is_fooled = ask(best)
    queries = 1
    for side, top, left, *more in draws.moves():
        if is_fooled:
            break
        if attack.norm == "linf":
            window = np.s_[top : top + side, left : left + side]
            new = best.copy()
            new[window] = image[window] + epsilon * more[-1]
        else:
            new = image + next_l2(best - image, epsilon, side, top, left, *more)
        new = np.clip(new, 0, 1)
        new_value, is_fooled = ask(new)
        queries += 1
        if new_value > value or is_fooled:
            best, value = new, new_value
    return best, queries


@pytest.mark.parametrize(
    "attack",
    [
        Square(epsilon=0.01, queries=60),
        Square(epsilon=0.1, norm="l2", queries=60),
        Square(epsilon=0.01, queries=60, rescale_schedule=False),
        Square(epsilon=0.05, queries=90, targeted=True, p_init=0.3),
        Square(epsilon=0.2, norm="l2", queries=40, targeted=True, p_init=0.1),
    ],
    ids=repr,
)
def test_is_the_authors_algorithm(attack, classifier, batch):
    images, labels = batch
    labels = (labels + attack.targeted) % 3
    found = attack(classifier, images, labels, seed=4)
    queries = []
    for image, label, adversarial in zip(images, labels, found, strict=True):
        expected, count = reference(attack, image.astype(float), label, seed=4)
        np.testing.assert_allclose(adversarial, expected, atol=1e-5)
        queries.append(count)
    # Some were fooled on the way, and some never.
    assert min(queries) < attack.queries == max(queries)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_queries_are_no_weaker(norm, classifier, rng):
    images = rng.uniform(0, 1, (40, *SHAPE)).astype("float32")
    labels = classifier.predict(images)

    def fooled(attack):
        adversarial = attack(classifier, images, labels)
        return np.sum(classifier.predict(adversarial) != labels)

    epsilon = 0.02 if norm == "linf" else 0.2
    shares = [
        fooled(Square(epsilon=epsilon, norm=norm, queries=queries))
        for queries in (1, 10, 200)
    ]
    assert shares[0] < shares[1] < shares[2]
    assert fooled(RandomNoise(epsilon=epsilon, norm=norm)) < shares[2]


@pytest.mark.parametrize(("offset", "expected"), [(0, 5 * 73), (-9, 5)])
def test_asks_until_an_image_is_fooled(offset, expected, rng):
    """No image, or every one at the first query."""
    bias = np.array([9 + offset, 9], "float32")
    classifier = Classifier(lambda x: 0 * linear(x) + bias)
    images = rng.uniform(0, 1, (5, 2, 2, 1)).astype("float32")
    Square(queries=73)(classifier, images, np.zeros(5, "int32"))
    assert classifier.queries == expected


def test_one_query_asks_for_the_stripes(classifier, batch):
    images, labels = batch
    attack = Square(epsilon=0.1, queries=1)
    adversarial = attack(classifier, images, labels, seed=2)
    signs = np.sign(adversarial - images)
    inside = (images > 0.1) & (images < 0.9)
    columns = np.sign(np.sum(signs * inside, axis=(0, 1)))
    np.testing.assert_array_equal(
        signs[inside], np.broadcast_to(columns, signs.shape)[inside]
    )
    assert set(np.unique(columns)) == {-1, 1}
    other = attack(classifier, images, labels, seed=3)
    assert np.any(other != adversarial)


def test_refuses_images_with_channels_first():
    """Its squares would lie across channels, where they find little."""
    images = np.zeros((2, 3, 32, 32), "float32")
    with pytest.raises(AttackError, match=r"looks like \(B, C, H, W\)"):
        Square(queries=1)(linear, images, np.zeros(2, "int32"))
