"""What the challenge refuses, and what it counts."""

import numpy as np
import pytest
from processes import error_line, run

from madry_challenge import data, submission
from peernets_tf import load_pretrained

MODULE = "madry_challenge.run_attack"


@pytest.fixture
def images(rng):
    return rng.uniform(20, 230, (6, 4, 4, 3)).astype("float32")


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_takes_what_is_within_epsilon(images, dtype):
    images = np.round(images)
    adversarial = (images + 8).astype(dtype)
    submission.check(adversarial, images, 8.0)
    with pytest.raises(ValueError, match=r"found: 8.0, allowed: 7.5"):
        submission.check(adversarial, images, 7.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:5], "invalid shape: expected"),
        (lambda x: x / 0, "invalid pixel range"),
        (lambda x: x - 300, "invalid pixel range"),
        (lambda x: x + 100, "invalid pixel range"),
        (lambda x: np.where(x > 0, np.nan, x), "invalid pixel range"),
        (lambda x: x - 8.01, "maximum perturbation found"),
        (lambda x: x.astype(str), "expected numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide")
def test_refuses(images, change, message):
    with pytest.raises(ValueError, match=message):
        submission.check(change(images), images, 8.0)


def test_the_order_is_cifar10s(data_dir):
    """The labels with which the original's test_batch begins."""
    labels = data.load("cifar10", data_dir).test.labels
    np.testing.assert_array_equal(labels[:10], [3, 8, 8, 0, 6, 6, 1, 6, 3, 1])


@pytest.mark.slow
def test_the_command(data_dir, tmp_path, rng):
    images = 255 * data.load("cifar10", data_dir).test.images
    noise = rng.choice([-8, 8], images.shape)
    attack, predictions = tmp_path / "attack.npy", tmp_path / "pred.npy"
    np.save(attack, np.clip(images + noise, 0, 255).astype("float32"))
    flags = [
        "--checkpoint=cifar10_resnet32",
        f"--attack={attack}",
        f"--predictions={predictions}",
        f"--data_dir={data_dir}",
    ]
    process = run(*flags, module=MODULE)
    assert process.returncode == 0, process.stderr
    found = np.load(predictions)
    assert found.shape == (10000,)
    expected = load_pretrained("cifar10_resnet32").predict(
        np.load(attack)[:200] / 255, verbose=0
    )
    assert np.mean(found[:200] == expected.argmax(axis=1)) > 0.99
    labels = data.load("cifar10", data_dir).test.labels
    assert f"Accuracy: {np.mean(found == labels):.2%}" in process.stdout
    process = run(*flags, "--epsilon=4", module=MODULE)
    assert process.returncode == 1
    assert "maximum perturbation found" in error_line(process)
