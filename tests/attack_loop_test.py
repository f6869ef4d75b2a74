"""Counting, resuming and refusing, on models whose answers are known."""

import dataclasses
import json

import numpy as np
import pytest
from keras import ops

from peernets_tf import datasets
from peernets_tf.attacks import Classifier
from peernets_tf.errors import AttackError, UserError
from peernets_tf.evaluation import attack_loop, image_bar
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.strength import Strength
from peernets_tf.evaluation.target import Target

# Class 1 is predicted where the first value is above 0.5.
WEIGHTS = np.array([[0, 10], [0, 0], [0, 0], [0, 0]], "float32")
STRENGTH = Strength(norm="linf", epsilon=0.25)


def logits_fn(images):
    flat = ops.reshape(images, (-1, 4)) - 0.5
    return ops.matmul(flat, WEIGHTS)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(logits_fn)


@pytest.fixture
def target(classifier):
    images = np.full((10, 2, 2, 1), 0.5, "float32")
    images[:, 0, 0, 0] = np.linspace(0.05, 0.95, 10)
    labels = (images[:, 0, 0, 0] > 0.5).astype("int32")
    labels[0] = 1  # The one that is classified wrongly.
    return Target(
        defended=classifier,
        attacker=classifier,
        test=datasets.Split(images=images, labels=labels),
        num_classes=2,
        batch_size=4,
        seed=0,
    )


@pytest.fixture
def log(tmp_path):
    return BatchLog(str(tmp_path / "log.jsonl"))


class Brighten:
    """Moves the first value up by 0.25, and notes what it receives."""

    def __init__(self):
        self.labels = []
        self.seeds = []

    def __call__(self, classifier, images, labels, *, seed):
        self.labels.append(labels.tolist())
        self.seeds.append(seed)
        adversarial = images.copy()
        adversarial[:, 0, 0, 0] = np.minimum(adversarial[:, 0, 0, 0] + 0.25, 1)
        return adversarial

    def __repr__(self):
        return "Brighten()"


def run(target, attack, log, *, loss="cross_entropy", strength=STRENGTH):
    clean = attack_loop.clean_predictions(target, log, loss=loss)
    return attack_loop.attack_images(
        target, attack, strength, clean, log, name="a"
    )


def test_another_attempt_draws_other_numbers(target):
    attack = Brighten()
    for attempt in (0, 1, 0):
        part = dataclasses.replace(target, attempt=attempt)
        for number, batch in part.batches():
            part.perturb(attack, STRENGTH, number, batch)
    first, second, third = np.reshape(attack.seeds, (3, -1))
    np.testing.assert_array_equal(first, third)
    assert len({*first, *second}) == 2 * len(first)


def test_counts(target, log):
    case = run(target, Brighten(), log)
    # 0.05 to 0.45 are of class 0, but the first one's label is 1; 0.35 and
    # 0.45 move to class 1.
    assert dataclasses.asdict(case) == {
        "attack": "Brighten()",
        "norm": "linf",
        "epsilon": 0.25,
        "rho": None,
        "total": 10,
        "correct": 9,
        "adversarial_correct": 7,
        "changed": 2,
        "fooled": 2,
        "zero_gradients": 0,
        "mean_l2": 63.75,
        "mean_linf": 63.75,
        "mean_loss": case.mean_loss,
        "rho_of": "unit",
        "clip": True,
        "rejected": None,
        "clean_rejected": None,
        "queries": 0,
        # All but the first, the fourth and the fifth: 0110 0111, 1100 0000.
        "right": "67c0",
    }
    first = np.minimum(target.test.images[:, 0, 0, 0] + 0.25, 1) - 0.5
    signs = np.where(target.test.labels == 1, -10, 10)
    expected = np.mean(np.log1p(np.exp(signs * first)))
    assert case.mean_loss == pytest.approx(expected, abs=1e-5)


def test_no_image_fooled_has_no_mean_norm(target, log):
    case = run(target, lambda _, images, labels, seed: images, log, loss=None)
    assert case.fooled == case.changed == 0
    assert case.mean_l2 is case.mean_linf is case.zero_gradients is None


def test_targeted_counts_images_that_reach_their_class(target, log):
    attack = Brighten()
    case = run(dataclasses.replace(target, targeted=True), attack, log)
    # With two classes the other one is the target.
    np.testing.assert_array_equal(
        sum(attack.labels, []), 1 - target.test.labels
    )
    assert case.fooled == 2


def test_target_labels_are_other_classes_and_their_seed_counts(target):
    labels = np.arange(1000, dtype="int32") % 10
    target = dataclasses.replace(target, targeted=True, num_classes=10)
    drawn = target.target_labels(0, labels)
    assert not np.any(drawn == labels)
    assert set(drawn) == set(range(10))
    np.testing.assert_array_equal(drawn, target.target_labels(0, labels))
    assert np.any(drawn != target.target_labels(1, labels))
    other = dataclasses.replace(target, seed=1)
    assert np.any(drawn != other.target_labels(0, labels))


def test_resumes_after_whole_batches(target, log, tmp_path):
    first = Brighten()
    whole = run(target, first, log)
    assert [len(labels) for labels in first.labels] == [4, 4, 2]
    assert len(set(first.seeds)) == 3
    path = tmp_path / "log.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    # Killed within the last line: only its batch is attacked again.
    path.write_text("".join(lines[:-1]) + lines[-1][:20])
    second = Brighten()
    assert run(target, second, BatchLog(str(path))) == whole
    assert second.seeds == first.seeds[2:]
    assert path.read_text() == "".join(lines)


def test_the_loss_of_huge_logits_is_finite(target, log):
    huge = Classifier(lambda x: 1e37 * logits_fn(x))
    changed = dataclasses.replace(target, defended=huge, attacker=huge)
    case = run(changed, Brighten(), log, loss=None)
    # Labels 1, 0 and 0 at 0.3 (whose class is 0), 0.6 and 0.7.
    assert case.mean_loss == pytest.approx(1e37 * (2 + 1 + 2) / 10)


@pytest.mark.parametrize("field", ["loss", "queries", "rejected", "right"])
def test_refuses_a_log_without_a_field(field, target, log, tmp_path):
    run(target, Brighten(), log)
    path = tmp_path / "log.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    del rows[-1][field]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    with pytest.raises(UserError, match=f"`{field}`"):
        run(target, Brighten(), BatchLog(str(path)))


def test_counts_the_queries_of_the_attack_alone(target, log):
    def attack(classifier, images, labels, *, seed):
        for _ in range(3):
            classifier.predict(images)
        return images

    case = run(target, attack, log)
    assert case.queries == 3 * 10


def test_counts_masked_gradients(target, tmp_path):
    def masked(images):
        return logits_fn(ops.round(images))

    def no_gradient_above(images):
        # At 0.55 and above the gradient is zero; below it is not.
        return logits_fn(ops.minimum(images, 0.5))

    for function, expected in ((masked, 10), (no_gradient_above, 5)):
        changed = dataclasses.replace(target, attacker=Classifier(function))
        log = BatchLog(str(tmp_path / f"{expected}.jsonl"))
        rows = attack_loop.clean_predictions(changed, log, loss="cross_entropy")
        assert sum(row.zero_gradients for row in rows) == expected


def test_a_label_that_is_third_is_no_masked_gradient(log):
    """There DLR is 1, whatever the image is."""
    weights = np.array([[0, 4, 2, 1], [0, 1, 0, 2]], "float32")
    classifier = Classifier(
        lambda images: ops.matmul(ops.reshape(images, (-1, 2)), weights)
    )
    images = np.full((1, 2, 1, 1), 0.5, "float32")
    target = Target(
        defended=classifier,
        attacker=classifier,
        test=datasets.Split(images=images, labels=np.array([2], "int32")),
        num_classes=4,
        batch_size=1,
        seed=0,
    )
    gradients, _ = classifier.loss_gradient(images, np.array([2]), "dlr")
    assert not gradients.any()
    (row,) = attack_loop.clean_predictions(target, log, loss="dlr")
    assert row.zero_gradients == 0


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_refuses_gradients_that_are_not_finite(bad, target, log):
    def function(images):
        root = ops.sqrt(images - ops.stop_gradient(images))
        if np.isnan(bad):
            root = root - 2 * root
        return logits_fn(images + root)

    changed = dataclasses.replace(target, attacker=Classifier(function))
    with pytest.raises(AttackError, match="gradients must be finite"):
        attack_loop.clean_predictions(changed, log, loss="margin")


def test_shows_lines_without_control_characters(target, log, capsys):
    run(target, Brighten(), log)
    assert capsys.readouterr().out.splitlines() == [
        "unperturbed images",
        "4/10 images (40%), 0 s left",
        "8/10 images (80%), 0 s left",
        "10/10 images (100%), 0 s",
        "a",
        "4/10 images (40%), 0 s left, changed 0.25",
        "8/10 images (80%), 0 s left, changed 0.25",
        "10/10 images (100%), 0 s, changed 0.2",
    ]


def test_the_bar_moves_within_a_batch(target, log, monkeypatch):
    shown = []

    class Noting:
        def __init__(self, total, unit):
            assert (total, unit) == (10, "images")

        def update(self, done, **values):
            shown.append((done, *values.values()))

        def close(self):
            shown.append("closed")

    def attack(classifier, images, labels, *, seed):
        for _ in range(3):
            classifier.predict(images)
        return images

    clean = attack_loop.clean_predictions(target, log, loss=None)
    monkeypatch.setattr(image_bar, "Progress", Noting)
    attack_loop.attack_images(target, attack, STRENGTH, clean, log, name="a")
    # Three steps, and the predictions that are counted.
    assert shown[:6] == [(0, 4), (0, 8), (0, 12), (0, 16), (4, 0.0), (4, 0, 4)]
    assert shown[-2:] == [(10, 0.0), "closed"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x * 255, "must lie in"),
        (lambda x: x - 0.1, "must lie in"),
        (lambda x: np.full_like(x, np.nan), "must lie in"),
        (lambda x: np.clip(x + 0.3, 0, 1), "ball of radius 0.25"),
    ],
)
def test_refuses_images_out_of_range_or_ball(change, message, target, log):
    with pytest.raises(AttackError, match=message):
        run(target, lambda _, images, labels, seed: change(images), log)


def test_an_attack_that_does_not_clip_leaves_the_range(target, log):
    strength = dataclasses.replace(STRENGTH, rho=0.1, clip=False)
    strength = dataclasses.replace(strength, rho_of="centered")
    case = run(
        target,
        lambda _, images, labels, seed: images + 0.2,
        log,
        strength=strength,
    )
    assert not case.clip
    assert case.rho_of == "centered"
    # 0.35 and 0.45 move to class 1.
    assert case.changed == 2
    with pytest.raises(AttackError, match="ball of radius 0.25"):
        attack_loop.attack_images(
            target,
            lambda _, images, labels, seed: images + 0.3,
            strength,
            attack_loop.clean_predictions(target, log, loss=None),
            log,
            name="b",
        )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: ops.softmax(logits_fn(x)), "softmax"),
        (lambda x: logits_fn(x) / 0.0, "finite"),
    ],
    ids=["probabilities", "not finite"],
)
def test_refuses_a_model(function, message, target, log):
    changed = dataclasses.replace(target, defended=Classifier(function))
    with pytest.raises(AttackError, match=message):
        attack_loop.clean_predictions(changed, log, loss=None)
