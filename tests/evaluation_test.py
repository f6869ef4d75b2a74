"""Counting, resuming and refusing, on models whose answers are known."""

import dataclasses
import json

import numpy as np
import pytest
from keras import ops

from peernets_tf import data, evaluation
from peernets_tf.attacks import guards

# Class 1 is predicted where the first value is above 0.5.
WEIGHTS = np.array([[0, 10], [0, 0], [0, 0], [0, 0]], "float32")
CALLS = []


def logits_fn(images):
    flat = ops.reshape(images, (-1, 4)) - 0.5
    return ops.matmul(flat, WEIGHTS)


@pytest.fixture
def target():
    images = np.full((10, 2, 2, 1), 0.5, "float32")
    images[:, 0, 0, 0] = np.linspace(0.05, 0.95, 10)
    labels = (images[:, 0, 0, 0] > 0.5).astype("int32")
    labels[0] = 1  # The one that is classified wrongly.
    return evaluation.Target(
        judge=logits_fn,
        attacked=logits_fn,
        test=data.Split(images=images, labels=labels),
        num_classes=2,
        batch_size=4,
        seed=0,
    )


@pytest.fixture
def log(tmp_path):
    return evaluation.BatchLog(
        str(tmp_path / "log.jsonl"), {"flag": (1, 2)}, {"commit": "a"}
    )


def brighten(logits_fn, images, labels, *, seed):
    """Moves the first value up by 0.25."""
    del logits_fn
    CALLS.append((len(labels), seed))
    adversarial = images.copy()
    adversarial[:, 0, 0, 0] = np.minimum(adversarial[:, 0, 0, 0] + 0.25, 1)
    return adversarial


def test_counts(target, log):
    clean = evaluation.clean_predictions(target, log)
    found = evaluation.attack_images(
        target, brighten, clean, log, name="a", epsilon=0.25, norm="linf"
    )
    # 0.05 to 0.45 are of class 0, but the first one's label is 1; 0.35 and
    # 0.45 move to class 1.
    assert {key: found[key] for key in found if "mean" not in key} == {
        "total": 10,
        "correct": 9,
        "adversarial_correct": 7,
        "changed": 2,
        "fooled": 2,
        "zero_gradients": 0,
    }
    assert found["mean_linf"] == found["mean_l2"] == 63.75


def test_targeted_counts_images_that_reach_their_class(target, log):
    goals = []

    def note(logits_fn, images, labels, *, seed):
        goals.extend(labels)
        return brighten(logits_fn, images, labels, seed=seed)

    target = dataclasses.replace(target, targeted=True)
    clean = evaluation.clean_predictions(target, log)
    found = evaluation.attack_images(target, note, clean, log, name="t")
    # With two classes the other one is the goal.
    np.testing.assert_array_equal(goals, 1 - target.test.labels)
    assert found["fooled"] == 2


def test_goes_on_without_whole_batches(target, log, tmp_path):
    clean = evaluation.clean_predictions(target, log)
    CALLS.clear()
    whole = evaluation.attack_images(target, brighten, clean, log, name="a")
    assert [count for count, _ in CALLS] == [4, 4, 2]
    assert len({seed for _, seed in CALLS}) == 3
    all_calls = [*CALLS]
    path = tmp_path / "log.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    # Killed within the last line: only its batch is attacked again.
    path.write_text("".join(lines[:-1]) + lines[-1][:20])
    again = evaluation.BatchLog(str(path), {"flag": (1, 2)}, {"commit": "b"})
    # The figures are of the code that began.
    assert again.environment == {"commit": "a"}
    CALLS.clear()
    clean = evaluation.clean_predictions(target, again)
    found = evaluation.attack_images(target, brighten, clean, again, name="a")
    assert found == whole
    assert all_calls[2:] == CALLS
    assert [json.loads(line) for line in path.read_text().splitlines()]


def test_refuses_the_log_of_another_evaluation(log, tmp_path):
    log.add("clean/0", {"x": 1})
    with pytest.raises(guards.AttackError, match="output_dir"):
        evaluation.BatchLog(str(tmp_path / "log.jsonl"), {"flag": (1, 3)}, {})


def test_counts_masked_gradients(target, log):
    def masked(images):
        return logits_fn(ops.round(images))

    def no_gradient_above(images):
        # At 0.55 and above the gradient is zero; below it is not.
        return logits_fn(ops.minimum(images, 0.5))

    for attacked, expected in ((masked, 10), (no_gradient_above, 5)):
        changed = dataclasses.replace(target, attacked=attacked)
        empty = evaluation.BatchLog(str(log._path) + str(expected), {}, {})
        rows = evaluation.clean_predictions(changed, empty)
        assert sum(row["zero_gradients"] for row in rows) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x * 255, "must lie in"),
        (lambda x: x - 0.1, "must lie in"),
        (lambda x: np.full_like(x, np.nan), "must lie in"),
        (lambda x: np.clip(x + 0.3, 0, 1), "leaves the ball"),
    ],
)
def test_refuses_images_out_of_range_or_ball(change, message, target, log):
    clean = evaluation.clean_predictions(target, log)
    with pytest.raises(guards.AttackError, match=message):
        evaluation.attack_images(
            target,
            lambda _, images, labels, seed: change(images),
            clean,
            log,
            name="bad",
            epsilon=0.2,
            norm="linf",
        )


def test_refuses_probabilities(target, log):
    changed = dataclasses.replace(
        target, judge=lambda x: ops.softmax(logits_fn(x))
    )
    with pytest.raises(guards.AttackError, match="softmax"):
        evaluation.clean_predictions(changed, log)


def test_refuses_logits_that_are_no_numbers(target, log):
    changed = dataclasses.replace(target, judge=lambda x: logits_fn(x) / 0.0)
    with pytest.raises(guards.AttackError, match="finite"):
        evaluation.clean_predictions(changed, log)
