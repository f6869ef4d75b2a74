"""Properties that every attack has, on a small network."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers, ops

from peernets_tf import attacks
from peernets_tf.attacks import norms
from peernets_tf.errors import AttackError, UserError

SHAPE = (6, 6, 2)
EPSILON = 0.1
SEARCHED = attacks.FGSM()
BALLS = [
    attacks.FGSM(epsilon=EPSILON),
    attacks.FGSM(epsilon=EPSILON, norm="l2", loss="margin"),
    attacks.GradientDescent(epsilon=EPSILON),
    attacks.PGD(epsilon=EPSILON, steps=5),
    attacks.PGD(epsilon=EPSILON, steps=5, norm="l2", loss="margin", restarts=2),
    attacks.PGD(epsilon=EPSILON, steps=5, keep_best=False, step_size=0.03),
    attacks.PGD(epsilon=EPSILON, steps=7, stop_when_fooled=True),
    attacks.APGD(epsilon=EPSILON, steps=8),
    attacks.APGD(epsilon=EPSILON, steps=8, norm="l2", loss="dlr", restarts=2),
    attacks.APGD(epsilon=EPSILON, steps=5, loss="dlr", num_targets=2),
    attacks.RandomNoise(epsilon=EPSILON),
    attacks.RandomNoise(epsilon=EPSILON, norm="l2"),
    attacks.Square(epsilon=EPSILON, queries=30),
    attacks.Square(epsilon=EPSILON, queries=30, norm="l2", targeted=True),
    attacks.FiniteDifference(epsilon=EPSILON, delta=0.03),
    attacks.FiniteDifference(
        epsilon=EPSILON, steps=3, norm="l2", num_groups=20
    ),
    attacks.NES(epsilon=EPSILON, steps=4, samples=7, targeted=True),
    attacks.SPSA(epsilon=EPSILON, steps=4, samples=7, norm="l2"),
]
# Attacks that may stay well inside the ball, or find nothing there.
NEAREST = [
    attacks.FAB(epsilon=EPSILON, steps=6, num_targets=2),
    attacks.FAB(epsilon=EPSILON, steps=6, norm="l2", restarts=2),
]
ALL = [
    *BALLS,
    *NEAREST,
    attacks.DeepFool(max_steps=5),
    attacks.SmallestEpsilon(attack=SEARCHED),
    attacks.SmallestEpsilon(attack=attacks.PGD(steps=3), halvings=2),
    attacks.UniversalDeepFool(epsilon=1.0, passes=2),
    attacks.UniversalGradient(epsilon=1.0, passes=2),
    attacks.FixedPerturbation(
        perturbation=np.linspace(-0.1, 0.1, 72, dtype="f4").reshape(SHAPE),
        source="a ramp",
    ),
]
# Attacks that ask the model, whose answers must be finite.
ASKING = [
    attack
    for attack in ALL
    if not isinstance(attack, attacks.RandomNoise | attacks.FixedPerturbation)
]


@pytest.fixture(scope="module")
def classifier():
    """One for all attacks, so that nothing is compiled twice."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(8, 3, activation="tanh"),
            layers.Flatten(),
            layers.Dense(4),
        ]
    )
    return attacks.Classifier(lambda images: model(images, training=False))


@pytest.fixture
def batch(rng, classifier):
    images = rng.uniform(0, 1, (7, *SHAPE)).astype("float32")
    # Values at the border of [0, 1] are the ones that clipping moves.
    images[0], images[1] = 0.0, 1.0
    return images, classifier.predict(images)


@pytest.mark.parametrize("attack", ALL, ids=repr)
def test_images_stay_in_range(attack, classifier, batch):
    images, labels = batch
    before = images.copy()
    adversarial = attack(classifier, images, labels, seed=3)
    assert adversarial.shape == images.shape
    assert adversarial.dtype == np.float32
    assert adversarial.min() >= 0
    assert adversarial.max() <= 1
    assert np.any(adversarial != images)
    np.testing.assert_array_equal(images, before)


def sizes_of(attack, classifier, batch):
    """The norms of perturbations, of shape `(7,)`."""
    images, labels = batch
    change = attack(classifier, images, labels, seed=3) - images
    return ops.convert_to_numpy(norms.norms(change, attack.norm))


@pytest.mark.parametrize("attack", BALLS, ids=repr)
def test_perturbations_stay_in_the_ball(attack, classifier, batch):
    sizes = sizes_of(attack, classifier, batch)
    assert sizes.max() <= EPSILON + 1e-6
    # No image is forgotten.
    assert sizes.min() > EPSILON / 10


@pytest.mark.parametrize("attack", NEAREST, ids=repr)
def test_nearest_images_lie_in_the_ball(attack, classifier, batch):
    sizes = sizes_of(attack, classifier, batch)
    assert sizes.max() <= EPSILON + 1e-6
    assert np.sum(sizes > EPSILON / 10) >= 4


@pytest.mark.parametrize("attack", [*BALLS, *NEAREST], ids=repr)
def test_epsilon_zero_returns_the_images(attack, classifier, batch):
    images, labels = batch
    still = dataclasses.replace(attack, epsilon=0.0)
    adversarial = still(classifier, images, labels, seed=3)
    np.testing.assert_allclose(adversarial, images, atol=1e-7)


@pytest.mark.parametrize("attack", ALL, ids=repr)
def test_one_seed_one_result(attack, classifier, batch):
    first, second = (attack(classifier, *batch, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("attack", ALL, ids=repr)
def test_images_do_not_depend_on_each_other(attack, classifier, batch):
    if isinstance(attack, attacks.RandomNoise):
        pytest.skip("draws noise for each place in the batch")
    if isinstance(attack, attacks.UniversalAttack):
        pytest.skip("fits one perturbation for all images")
    if isinstance(attack, attacks.SmallestEpsilon):
        attack = attack.attack
    if isinstance(attack, attacks.PGD):
        attack = dataclasses.replace(attack, random_start=False)
    images, labels = batch
    whole = attack(classifier, images, labels)
    alone = attack(classifier, images[2:3], labels[2:3])
    np.testing.assert_allclose(alone, whole[2:3], atol=1e-5)


@pytest.mark.parametrize(
    "attack", [attack for attack in BALLS if attack.follows_gradient], ids=repr
)
def test_beats_noise_of_the_same_norm(attack, classifier, batch):
    images, labels = batch
    noise = attacks.RandomNoise(epsilon=EPSILON, norm=attack.norm)

    def mean_loss(adversarial):
        return np.mean(
            ops.sparse_categorical_crossentropy(
                labels, classifier.logits_fn(adversarial), from_logits=True
            )
        )

    attacked = mean_loss(attack(classifier, images, labels, seed=1))
    assert attacked > mean_loss(noise(classifier, images, labels, seed=1))
    assert attacked > mean_loss(images)


@pytest.mark.parametrize("attack", ALL, ids=repr)
def test_images_out_of_range_are_refused(attack, classifier, batch):
    images, labels = batch
    for bad in (255 * images, images - 0.1, np.where(images > 1, 0, np.nan)):
        with pytest.raises(AttackError, match=r"\[0, 1\]"):
            attack(classifier, bad, labels)
    with pytest.raises(AttackError, match="shape"):
        attack(classifier, images[0], labels)


@pytest.mark.parametrize(
    "attack", [attack for attack in ALL if attack.uses_labels], ids=repr
)
def test_labels_may_be_a_column(attack, classifier, batch):
    images, labels = batch
    np.testing.assert_array_equal(
        attack(classifier, images, labels[:, None], seed=1),
        attack(classifier, images, labels, seed=1),
    )


@pytest.mark.parametrize(
    "attack", [attack for attack in ALL if attack.uses_labels], ids=repr
)
def test_labels_that_are_no_classes_are_refused(attack, classifier, batch):
    images, labels = batch
    cases = [
        (None, "Received: None"),
        (labels[:3], "shape"),
        (labels[None], "shape"),
        (labels.astype("int64") + 2**32, "between 0 and 3"),
        (labels.astype("float32"), "integers"),
        (labels - 4, "between 0 and 3"),
        (labels + 4, "between 0 and 3"),
    ]
    for bad, message in cases:
        with pytest.raises(AttackError, match=message):
            attack(classifier, images, bad)


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_seeds_are_integers_of_at_least_0(seed, classifier, batch):
    with pytest.raises(UserError, match="`seed` must be"):
        attacks.FGSM()(classifier, *batch, seed=seed)


@pytest.mark.parametrize("attack", ASKING, ids=repr)
def test_logits_that_are_not_finite_are_refused(attack, classifier, batch):
    """Else a random start would pass as what an attack found."""

    def broken(images):
        bright = ops.sum(images, axis=(1, 2, 3))[:, None] > 40
        return ops.where(bright, np.nan, classifier.logits_fn(images))

    images, labels = batch
    assert 0 < np.sum(images.sum(axis=(1, 2, 3)) > 40) < 7
    with pytest.raises(AttackError, match="not finite"):
        attack(broken, images, labels)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("keep_best", [False, True])
def test_gradients_that_are_not_finite_are_refused(keep_best, targeted):
    def broken(images):
        flat = ops.reshape(images - 0.5, (-1, 4))
        # The root's gradient at zero is infinite, times zero.
        return ops.sqrt(ops.square(flat))[:, :3]

    attack = attacks.PGD(
        keep_best=keep_best, targeted=targeted, random_start=False
    )
    images = np.full((2, 2, 2, 1), 0.5, "float32")
    with pytest.raises(AttackError, match="gradients"):
        attack(broken, images, np.array([0, 1]))


def test_logits_of_another_shape_are_refused():
    def image_logits(images):
        return images

    with pytest.raises(AttackError, match=r"\(B, classes\)"):
        attacks.FGSM()(image_logits, np.zeros((2, 2, 2, 1)), np.zeros(2, int))


def test_one_logit_is_refused():
    def one_logit(images):
        return ops.sum(images, axis=(1, 2))

    images = np.full((2, 2, 2, 1), 0.5, "float32")
    with pytest.raises(AttackError, match=r"return \[0, z\]"):
        attacks.PGD()(one_logit, images, np.zeros(2, int))


@pytest.mark.parametrize("attack", ASKING, ids=repr)
def test_logits_of_another_float_type(attack, classifier, batch):
    """As of a model in mixed precision whose last layer is float16."""

    def half(images):
        return ops.cast(classifier.logits_fn(images), "float16")

    def rounded(images):
        return ops.cast(half(images), "float32")

    np.testing.assert_array_equal(attack(half, *batch), attack(rounded, *batch))


@pytest.mark.parametrize(
    "last",
    [
        [layers.Dense(3, activation="softmax")],
        [layers.Dense(3), layers.Softmax()],
        [layers.Dense(3), layers.Activation("softmax")],
    ],
    ids=["dense", "layer", "activation"],
)
def test_a_softmax_is_refused(last, batch):
    """TensorFlow would attack the logits before it, JAX not."""
    model = keras.Sequential([keras.Input(SHAPE), layers.Flatten(), *last])
    for attack in (attacks.PGD(loss="margin"), attacks.DeepFool()):
        with pytest.raises(AttackError, match="remove its softmax"):
            attack(model, *batch)
    images, labels = batch
    assert attacks.RandomNoise()(model, images).shape == images.shape
    # Log-probabilities are logits.
    logarithms = keras.Model(model.inputs, ops.log(model.outputs[0]))
    found = attacks.FGSM()(logarithms, images, labels % 3)
    assert np.any(found != images)


@pytest.mark.parametrize("activation", ["sigmoid", "hard_sigmoid", "tanh"])
@pytest.mark.parametrize("as_layer", [False, True])
def test_what_saturates_is_refused(activation, as_layer, batch):
    last = [layers.Dense(3, activation=activation)]
    if as_layer:
        last = [layers.Dense(3), layers.Activation(activation)]
    model = keras.Sequential([keras.Input(SHAPE), layers.Flatten(), *last])
    for attack in (attacks.PGD(loss="margin"), attacks.DeepFool()):
        with pytest.raises(AttackError, match=f"remove its {activation},"):
            attack(model, *batch)


@pytest.mark.parametrize("activation", ["hard_sigmoid", "softmax", "tanh"])
def test_what_saturates_inside_is_refused(activation, batch):
    """As the last operation, and as the end of a model in another."""
    images = keras.Input(SHAPE)
    logits = layers.Dense(3)(layers.Flatten()(images))
    operation = keras.Model(images, getattr(ops, activation)(logits))
    inner = keras.Model(images, layers.Activation(activation)(logits))
    outer = keras.Input(SHAPE)
    nested = [
        keras.Model(outer, model(layers.Rescaling(2.0)(outer)))
        for model in (inner, operation)
    ]
    sequential = keras.Sequential(
        [keras.Input(SHAPE), layers.Rescaling(2.0), inner]
    )
    for model in (operation, *nested, sequential):
        with pytest.raises(AttackError, match=f"remove its {activation},"):
            attacks.PGD()(model, *batch)
    shared = layers.Activation(activation)
    twice = keras.Model(images, shared(layers.Dense(3)(shared(logits))))
    with pytest.raises(AttackError, match=f"remove its {activation},"):
        attacks.PGD()(twice, *batch)


def test_what_saturates_before_the_end_is_accepted(batch):
    images = keras.Input(SHAPE)
    dense = layers.Dense(3)
    hidden = ops.tanh(layers.Dense(3)(layers.Flatten()(images)))
    # Keras lists a layer that it calls twice at the first of its places.
    for logits in (dense(hidden), dense(ops.tanh(dense(hidden)))):
        model = keras.Model(images, logits)
        assert attacks.PGD(steps=1)(model, *batch).shape == batch[0].shape


def test_seeds_differ(classifier, batch):
    for attack in (
        attacks.PGD(steps=1, keep_best=False),
        attacks.RandomNoise(),
    ):
        first, second = (attack(classifier, *batch, seed=s) for s in (0, 1))
        assert np.any(first != second)


def test_a_large_epsilon_fools_everywhere(classifier, batch):
    images, labels = batch
    adversarial = attacks.PGD(epsilon=1.0, steps=20)(classifier, images, labels)
    assert not np.any(classifier.predict(adversarial) == labels)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: attacks.FGSM(norm="l1"), "norm"),
        (lambda: attacks.FGSM(loss="hinge"), "loss"),
        (lambda: attacks.FGSM(epsilon=-1), "epsilon"),
        (lambda: attacks.FGSM(epsilon=float("nan")), "epsilon"),
        (lambda: attacks.FGSM(epsilon=float("inf")), "epsilon"),
        (lambda: attacks.GradientDescent(norm="linf"), "norm"),
        (lambda: attacks.PGD(steps=0), "steps"),
        (lambda: attacks.PGD(restarts=0), "restarts"),
        (lambda: attacks.PGD(step_size=-0.1), "step_size"),
        (lambda: attacks.PGD(step_size=0), "does not move"),
        (lambda: attacks.SPSA(learning_rate=0.0), "does not move"),
        (lambda: attacks.PGD(restarts=2, keep_best=False), "restarts=2"),
        (
            lambda: attacks.PGD(stop_when_fooled=True, keep_best=False),
            "stop_when_fooled=True",
        ),
        (lambda: attacks.RandomNoise(epsilon=-1), "epsilon"),
        (lambda: attacks.RandomNoise(norm="l1"), "norm"),
        (lambda: attacks.Square(queries=0), "queries"),
        (lambda: attacks.Square(p_init=1.1), "p_init"),
        (lambda: attacks.FiniteDifference(num_groups=-1), "num_groups"),
        (lambda: attacks.FiniteDifference(delta=-0.1), "delta"),
        (lambda: attacks.NES(samples=0), "samples"),
        (lambda: attacks.SPSA(learning_rate=-1), "learning_rate"),
        (lambda: attacks.APGD(steps=0), "steps"),
        (lambda: attacks.APGD(expectation=0), "expectation"),
        (lambda: attacks.APGD(num_targets=-1, loss="dlr"), "num_targets"),
        (lambda: attacks.APGD(num_targets=9), "num_targets=9, loss=cross"),
        (
            lambda: attacks.APGD(num_targets=9, loss="dlr", targeted=True),
            "targeted=True",
        ),
        (lambda: attacks.FAB(num_targets=0), "num_targets"),
        (lambda: attacks.FAB(norm="l1"), "norm"),
        (lambda: attacks.DeepFool(max_steps=0), "max_steps"),
        (lambda: attacks.DeepFool(num_classes=1), "num_classes"),
        (lambda: attacks.DeepFool(overshoot=-0.1), "overshoot"),
        (lambda: attacks.SmallestEpsilon(attack=SEARCHED, ratio=0.5), "ratio"),
        (lambda: attacks.UniversalGradient(epsilon=1, loss="hinge"), "loss"),
        (lambda: attacks.UniversalDeepFool(epsilon=-1), "epsilon"),
        (lambda: attacks.UniversalGradient(epsilon=1, passes=0), "passes"),
        (
            lambda: attacks.UniversalGradient(epsilon=1, fooling_rate=1.1),
            "fooling_rate",
        ),
        (
            lambda: attacks.UniversalDeepFool(epsilon=1, batch_size=0),
            "batch_size",
        ),
    ],
)
def test_bad_arguments_are_refused(make, name):
    with pytest.raises(UserError, match=name) as error:
        make()
    assert "Received: " in str(error.value)


def test_the_names_in_published_records_stay():
    """The `repr` of an attack is its name in a record."""
    assert repr(attacks.PGD(stop_when_fooled=True)) == (
        "PGD(epsilon=0.03137254901960784, steps=40, step_size=None, "
        "norm='linf', loss='cross_entropy', targeted=False, random_start=True, "
        "restarts=1, keep_best=True, stop_when_fooled=True)"
    )
    assert repr(attacks.SmallestEpsilon(attack=attacks.FGSM(epsilon=1.0))) == (
        "SmallestEpsilon(attack=FGSM(epsilon=1.0, norm='linf', "
        "loss='cross_entropy', targeted=False), largest_epsilon=1.0, "
        "num_epsilons=10, ratio=2.0, halvings=4)"
    )
    assert repr(attacks.GradientDescent()) == (
        "GradientDescent(epsilon=1.0, norm='l2', loss='cross_entropy', "
        "targeted=False)"
    )
    assert repr(attacks.UniversalDeepFool(epsilon=1.5)) == (
        "UniversalDeepFool(epsilon=1.5, norm='l2', passes=10, batch_size=32, "
        "fooling_rate=0.8, deepfool=DeepFool(max_steps=10, overshoot=0.02, "
        "num_classes=10))"
    )
    assert repr(attacks.UniversalGradient(epsilon=1.5, passes=5)) == (
        "UniversalGradient(epsilon=1.5, norm='l2', passes=5, batch_size=32, "
        "fooling_rate=1.0, loss='cross_entropy', step_size=0.1)"
    )
    assert repr(attacks.Square(queries=100)) == (
        "Square(epsilon=0.03137254901960784, queries=100, norm='linf', "
        "targeted=False, p_init=0.8, rescale_schedule=True)"
    )
    assert repr(attacks.FiniteDifference(num_groups=384)) == (
        "FiniteDifference(epsilon=0.03137254901960784, norm='linf', steps=1, "
        "loss='margin', targeted=False, stop_when_fooled=False, "
        "delta=0.00392156862745098, step_size=None, num_groups=384, "
        "num_components=0)"
    )
    assert repr(attacks.NES()) == (
        "NES(epsilon=0.03137254901960784, norm='linf', steps=100, "
        "loss='margin', targeted=False, stop_when_fooled=False, "
        "delta=0.03137254901960784, step_size=None, samples=100)"
    )
    assert repr(attacks.SPSA()) == (
        "SPSA(epsilon=0.03137254901960784, norm='linf', steps=100, "
        "loss='margin', targeted=False, stop_when_fooled=False, delta=0.01, "
        "learning_rate=0.01, samples=128)"
    )
    assert repr(attacks.APGD(loss="dlr", num_targets=9)) == (
        "APGD(epsilon=0.03137254901960784, norm='linf', steps=100, restarts=1, "
        "loss='dlr', targeted=False, num_targets=9, expectation=1, "
        "stop_when_fooled=True)"
    )
    assert repr(attacks.FAB()) == (
        "FAB(epsilon=0.03137254901960784, norm='linf', steps=100, restarts=1, "
        "num_targets=9)"
    )
    assert repr(attacks.RandomNoise(epsilon=0.5, norm="l2")) == (
        "RandomNoise(epsilon=0.5, norm='l2')"
    )


@pytest.mark.parametrize(
    "cls", [attacks.PGD, attacks.FGSM, attacks.APGD], ids=str
)
def test_radii_on_the_pixel_scale_are_refused(cls):
    with pytest.raises(UserError, match="write 8/255"):
        cls(epsilon=8.0)
    assert cls(epsilon=8.0, norm="l2").epsilon == 8.0
    search = attacks.SmallestEpsilon
    with pytest.raises(UserError, match="`largest_epsilon` must be at most 1"):
        search(attack=cls(), largest_epsilon=8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epsilon": float("nan")}, "must be finite"),
        ({"epsilon": 1e39, "norm": "l2"}, "must be finite"),
        ({"epsilon": "8/255"}, "must be a number"),
        ({"epsilon": None}, "must be a number"),
        ({"steps": None}, "must be an integer"),
        ({"step_size": float("inf")}, "must be finite"),
        ({"step_size": -0.1}, "`step_size` must be above 0"),
        ({"steps": 2**31}, "at most 2147483647"),
        ({"steps": 10**400}, "at most 2147483647"),
        ({"steps": 2.5}, "must be an integer"),
        ({"restarts": True}, "must be an integer"),
    ],
    ids=str,
)
def test_settings_are_numbers_that_the_attack_computes_with(values, message):
    with pytest.raises(UserError, match=message):
        attacks.PGD(**values)
