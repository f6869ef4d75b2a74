"""Models that may reject an image: what counts, and what attacks look for."""

import dataclasses

import keras
import numpy as np
import pytest
import sample_records
import suite_models
from keras import ops

import peernets_tf
from peernets_tf import attacks, datasets, evaluation, records
from peernets_tf.attacks import rejection
from peernets_tf.defenses import Detector, magnet
from peernets_tf.errors import AttackError, UserError
from peernets_tf.evaluation import AttackConfig, EvaluationConfig

REJECTED = suite_models.NUM_CLASSES


def make_rejecting(threshold=0.02):
    """The linear model, which rejects images whose upper half is no grey.

    Its score is the distance of the upper half's mean from 0.5.
    """
    linear = suite_models.make_linear()
    mean = ops.mean(linear.inputs[0][:, :4], axis=(1, 2, 3))
    score = ops.abs(mean - 0.5)
    highest = ops.max(linear.outputs[0], axis=1)
    rejection = highest + 50.0 * (score - threshold)
    logits = ops.concatenate([linear.outputs[0], rejection[:, None]], axis=1)
    return keras.Model(linear.inputs, logits, name="rejecting")


@pytest.fixture(scope="module")
def model():
    return make_rejecting()


@pytest.fixture(scope="module")
def images():
    images, labels = suite_models.make_images()
    return images, labels.astype("int32")


def test_logits_by_which_attacks_are_judged():
    logits = np.array([[1, 2, 3], [1, 2, 3], [1, 5, 3], [1, 5, 3]], "float32")
    labels = np.array([0, 1, 0, 1], "int32")
    rejecting = attacks.Rejecting(lambda images: images)
    # Rejected; rejected; wrong and accepted; right.
    expected = [[3, 2], [1, 3], [3, 5], [1, 5]]
    found = rejection.judged(rejecting, logits, labels)
    np.testing.assert_array_equal(found, expected)
    for other, targeted in ((rejecting, True), (lambda images: images, False)):
        found = rejection.judged(other, logits, labels, targeted=targeted)
        np.testing.assert_array_equal(found, logits)


def test_a_classifier_that_rejects(model, images):
    classifier = attacks.Classifier(attacks.Rejecting(model))
    white, labels = np.ones_like(images[0]), images[1]
    assert (model.predict(white, verbose=0).argmax(axis=1) == REJECTED).all()
    assert classifier.logits(white).shape == (24, 4)
    np.testing.assert_array_equal(classifier.predict(white, labels), labels)
    assert (classifier.predict(white) < REJECTED).all()
    with pytest.raises(AttackError, match="between 0 and 3"):
        classifier.checked_labels(white, np.full(24, REJECTED))


ATTACKS = [
    attacks.PGD(epsilon=0.3, steps=20),
    attacks.PGD(epsilon=0.3, steps=20, loss="margin"),
    attacks.APGD(epsilon=0.3, steps=20),
    attacks.APGD(epsilon=0.3, steps=20, loss="dlr"),
    attacks.APGD(epsilon=0.3, steps=20, loss="dlr", num_targets=3),
    attacks.Square(epsilon=0.3, queries=300),
    attacks.FiniteDifference(epsilon=0.3, steps=20),
    attacks.NES(epsilon=0.3, steps=20, samples=100),
    attacks.SPSA(epsilon=0.3, steps=20, samples=100),
    attacks.FAB(epsilon=0.3, steps=20, num_targets=3),
    attacks.UniversalGradient(epsilon=2.0, batch_size=4, loss="margin"),
]


@pytest.mark.parametrize(
    "attack", ATTACKS, ids=lambda attack: f"{attack.name}-{attack.loss}"
)
def test_attacks_look_for_images_that_are_accepted(attack, model, images):
    """The same attack on the classes alone fools with fewer images."""
    clean, labels = images

    def fooled(logits_fn):
        adversarial = attack(logits_fn, clean, labels)
        predictions = model.predict(adversarial, verbose=0).argmax(axis=1)
        return int(np.sum((predictions != labels) & (predictions != REJECTED)))

    unaware = fooled(lambda images: model(images)[:, :-1])
    assert fooled(attacks.Rejecting(model)) > unaware


def test_deepfool_does_not_look_at_rejection(model, images):
    found = [
        attacks.DeepFool()(function, images[0])
        for function in (
            lambda images: model(images)[:, :-1],
            attacks.Rejecting(model),
        )
    ]
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


def test_what_is_rejected_from_the_start_has_a_gradient():
    """Far from what a detector of MagNet accepts, too."""
    linear = suite_models.make_linear()
    inputs = keras.Input(suite_models.SHAPE)
    half = keras.Model(inputs, 0.5 * inputs)
    grey = np.full((4, *suite_models.SHAPE), 1e-4, "float32")
    model = magnet(
        linear,
        reformer=half,
        detectors=[Detector(autoencoder=half, norm=1)],
        validation_images=grey,
        false_positive_rate=0.5,
    )
    # Its score is 10,000 times the threshold.
    white, labels = (
        np.ones((1, *suite_models.SHAPE), "float32"),
        np.zeros(1, int),
    )
    assert model.predict(white, verbose=0).argmax() == REJECTED
    classifier = attacks.Classifier(attacks.Rejecting(model))
    for loss in ("cross_entropy", "margin"):
        gradients, _ = classifier.loss_gradient(white, labels, loss)
        assert np.abs(gradients).max() > 1e-8


def test_a_targeted_attack_is_not_content_with_rejection(model, images):
    clean, labels = images
    targets = (labels + 1) % REJECTED
    attack = attacks.PGD(epsilon=0.3, steps=20, loss="margin", targeted=True)
    adversarial = attack(attacks.Rejecting(model), clean, targets)
    predictions = model.predict(adversarial, verbose=0).argmax(axis=1)
    assert (predictions == targets).all()


@pytest.fixture(scope="module")
def dataset(images):
    split = datasets.Split(images=images[0], labels=images[1])
    return datasets.Dataset(
        name="grey",
        train=split,
        test=split,
        num_classes=REJECTED,
        sha256="0" * 64,
    )


def evaluate(model, dataset, folder, rejected_as, **config):
    attack = AttackConfig(name="pgd", epsilons=(0.3,), options={"steps": 20})
    return evaluation.evaluate(
        model,
        dataset,
        EvaluationConfig(
            **{
                "attack": attack,
                "rejected_as": rejected_as,
                "output_dir": str(folder),
                "batch_size": 10,
                **config,
            }
        ),
        checkpoint="model.keras",
        provenance=sample_records.make_provenance(seconds=None),
    )


def test_what_a_rejected_image_counts_as(dataset, tmp_path):
    """The last image is white and rejected: an error, attacked or not."""
    images = dataset.test.images.copy()
    images[-1] = 1
    dataset = dataclasses.replace(
        dataset, test=dataclasses.replace(dataset.test, images=images)
    )
    model = make_rejecting(threshold=0.1)
    cases = {}
    for rejected_as in ("wrong", "right"):
        folder = tmp_path / rejected_as
        record = evaluate(model, dataset, folder, rejected_as)
        assert records.read(str(folder / "record.json")) == record
        assert record.rejected_as == rejected_as
        (cases[rejected_as],) = record.cases
        assert record.cases[0].clean_rejected == 1
        assert record.cases[0].correct == 23
    wrong, right = cases["wrong"], cases["right"]
    assert wrong.adversarial_correct == 0
    assert wrong.changed == 23
    # Nothing within 0.3 of white is accepted, and it was wrong before.
    assert right.rejected >= 1
    assert right.adversarial_correct == 23 - right.fooled
    assert right.fooled <= right.changed <= 24 - right.rejected
    (table,) = records.attack_tables.attack_tables([record])
    assert "1 rejected; a rejected image counts as right" in table.title
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert cells["rej."] == str(right.rejected)


@pytest.mark.parametrize("rejected_as", ["wrong", "right"])
def test_suites(rejected_as, images):
    """Without a rejection in reach, both are the linear model's robustness."""
    model = make_rejecting(threshold=0.4)
    found = peernets_tf.robust_accuracy(
        model,
        *images,
        epsilon=0.05,
        suite="autoattack",
        budget=0.04,
        rejected_as=rejected_as,
    )
    expected = suite_models.robust(*images, 0.05, "linf")
    assert 0 < expected.sum() < len(expected)
    np.testing.assert_array_equal(found.robust, expected)
    assert found.result.rejected_as == rejected_as
    assert found.result.clean_rejected == 0
    assert f"counts as {rejected_as}" in str(found)


def test_a_suite_finds_the_images_that_are_accepted(images, model):
    found = {
        rejected_as: peernets_tf.robust_accuracy(
            model,
            *images,
            epsilon=0.05,
            suite="autoattack",
            budget=0.2,
            rejected_as=rejected_as,
        )
        for rejected_as in ("wrong", "right")
    }
    predictions = model.predict(images[0], verbose=0).argmax(axis=1)
    right, wrong = found["right"], found["wrong"]
    assert right.result.clean_rejected == np.sum(predictions == REJECTED) > 0
    np.testing.assert_array_equal(right.correct, predictions == images[1])
    # What fools the model without its rejection, and leaves the upper half as
    # it is, is accepted.
    at_least = suite_models.robust(*images, 0.05, "linf")
    at_most = suite_models.robust(*images, 0.05, "linf", first=32)
    assert not right.robust[~at_most].any()
    assert right.robust[at_least & right.correct].all()
    assert right.robust.any()
    assert not wrong.robust.any()


def test_a_model_with_one_logit_more_must_be_explained(
    model, dataset, tmp_path
):
    with pytest.raises(UserError, match="rejected_as=wrong"):
        evaluate(model, dataset, tmp_path, None)
    with pytest.raises(UserError, match="5 logits.*one of rejection"):
        evaluate(suite_models.make_linear(), dataset, tmp_path, "right")
    with pytest.raises(UserError, match="`rejected_as` must be one of"):
        evaluate(model, dataset, tmp_path, "error")
    of_file = dataclasses.replace(dataset, sha256="0" * 64)
    with pytest.raises(UserError, match="store `num_classes` in it"):
        evaluate(model, of_file, tmp_path, None)
    of_file = dataclasses.replace(of_file, num_classes=3)
    with pytest.raises(UserError, match=r"5 logits; give.*store `num_classes`"):
        evaluate(model, of_file, tmp_path, None)


def test_an_identity_names_what_a_rejection_counts_as(model, dataset):
    linear = suite_models.make_linear()
    config = EvaluationConfig(attack=AttackConfig(name="fgsm"), output_dir="")
    assert evaluation.identity(linear, dataset, config)["rejected_as"] is None
    right = dataclasses.replace(config, rejected_as="right")
    identity = evaluation.identity(model, dataset, right)
    assert identity["rejected_as"] == "right"
