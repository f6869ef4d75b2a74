"""Every attack: numbers that are not finite raise, and models are freed."""

import gc
import importlib.util
import weakref

import keras
import numpy as np
import pytest
from keras import ops
from linear_model import linear

from peernets_tf import datasets
from peernets_tf.attacks import (
    ATTACKS,
    Classifier,
    SearchableAttack,
    SmallestEpsilon,
)
from peernets_tf.errors import AttackError
from peernets_tf.evaluation import attack_loop
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.strength import Strength
from peernets_tf.evaluation.target import Target

LABELS = np.array([0, 1, 1, 0, 1], "int32")
SETTINGS = {
    "universal.deepfool": {"epsilon": 0.5, "passes": 3},
    "universal.gradient": {"epsilon": 0.5, "passes": 3},
    "universal.sequential": {"epsilon": 0.5, "passes": 3},
    "universal.file": {
        "perturbation": np.full((2, 2, 1), 0.1, "float32"),
        "source": "a test",
    },
}


HAS_CLEVERHANS = (
    importlib.util.find_spec("cleverhans") is not None
    and keras.backend.backend() == "tensorflow"
)


def make_all():
    for name in ATTACKS:
        if name.startswith("cleverhans") and not HAS_CLEVERHANS:
            continue
        attack = ATTACKS[name](**SETTINGS.get(name, {}))
        yield attack
        if isinstance(attack, SearchableAttack):
            yield SmallestEpsilon(attack=attack, num_epsilons=1, halvings=1)


ALL = list(make_all())
IDS = [f"{i}-{attack.name}" for i, attack in enumerate(ALL)]


@pytest.fixture
def images(rng):
    return rng.uniform(0.3, 0.7, (5, 2, 2, 1)).astype("float32")


def everywhere(images, bad):
    return lambda x: linear(x) * 0 + ops.convert_to_tensor(bad)


def on_one_image(images, bad):
    """Bad in one logit, around the third image."""
    return lambda x: _spoilt(x, _distances(x, images[2:3]) < 0.2, bad)


def after_the_first_step(images, bad):
    """Bad in one logit, wherever no image is."""
    return lambda x: _spoilt(x, _distances(x, images) > 1e-3, bad)


def only_in_the_gradient(images, bad):
    """The square root's slope at zero is infinite; a difference of two, NaN."""

    def logits_fn(x):
        factor = ops.where(ops.isnan(ops.convert_to_tensor(bad)), 2.0, 0.0)
        zero = x - ops.stop_gradient(x)
        roots = ops.sqrt(zero) - ops.sqrt(factor * zero)
        # In one logit only: softmax does not see what all have in common.
        first = ops.sum(roots, axis=(1, 2, 3))[:, None] * np.eye(2)[:1]
        return linear(x) + ops.cast(first, "float32")

    return logits_fn


def _distances(x, images):
    """The largest difference of each image to the nearest of `images`."""
    differences = ops.abs(x[:, None] - images[None])
    return ops.min(ops.max(differences, axis=(2, 3, 4)), axis=1)


def _spoilt(x, where, bad):
    first = np.array([[True, False]])
    bad = ops.convert_to_tensor(bad)
    return ops.where(where[:, None] & first, bad, linear(x))


@pytest.mark.parametrize(
    "model",
    [everywhere, on_one_image, after_the_first_step, only_in_the_gradient],
)
@pytest.mark.parametrize("attack", ALL, ids=IDS)
def test_raises(attack, model, images, tmp_path):
    if model is only_in_the_gradient and not attack.follows_gradient:
        pytest.skip("follows no gradient")
    # A variable, so that both values share what is compiled.
    bad = keras.Variable(np.nan, trainable=False)
    classifier = Classifier(model(images, bad))
    target = Target(
        defended=classifier,
        attacker=classifier,
        test=datasets.Split(images=images, labels=LABELS),
        num_classes=2,
        batch_size=5,
        seed=0,
    )
    clean = attack_loop.CleanBatch(
        predictions=tuple(LABELS.tolist()), zero_gradients=None
    )
    for value in (np.nan, np.inf):
        bad.assign(value)
        with pytest.raises(AttackError, match="finite"):
            attack_loop.attack_images(
                target,
                attack,
                Strength(norm=attack.norm),
                [clean],
                BatchLog(str(tmp_path / "log.jsonl")),
                name="a",
            )


def test_an_infinite_margin_of_finite_logits_raises(images):
    """3e38 - (-3e38) is not finite in float32."""
    logits = np.array([-3e38, 3e38], "float32")
    classifier = Classifier(lambda x: linear(x) * 0 + logits)
    labels = np.zeros(5, "int32")
    with pytest.raises(AttackError, match="losses, logits and gradients"):
        ATTACKS["pgd"](loss="margin")(classifier, images, labels)
    with pytest.raises(AttackError, match="losses, logits and gradients"):
        classifier.loss_gradient(images, labels, "margin")


@pytest.mark.parametrize("attack", ALL, ids=IDS)
def test_frees_models(attack, images):
    freed = []
    for is_closure in (False, True):
        model = keras.Sequential(
            [
                keras.Input((2, 2, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(2),
            ]
        )
        # No attack changes the class, so all compile for one batch size.
        model.layers[-1].bias.assign([9, 0])
        logits_fn = (lambda x, model=model: model(x)) if is_closure else model
        attack(logits_fn, images, np.zeros(5, "int32"))
        freed += [weakref.ref(model), weakref.ref(model.weights[0])]
        del model, logits_fn
    gc.collect()
    assert [reference() for reference in freed] == [None] * 4
