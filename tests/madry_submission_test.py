"""A submission: the rules that it must keep, and its accuracy."""

import functools

import keras
import numpy as np
import pytest
from commands import check_errors, error_line, run_command

from madry_challenge import data, submission
from peernets_tf import models
from peernets_tf.errors import UserError

MODULE = "madry_challenge.run_attack"


@pytest.fixture
def images(rng):
    return rng.uniform(20, 230, (6, 4, 4, 3)).astype("float32")


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_takes_what_is_within_epsilon(images, dtype):
    images = np.round(images)
    adversarial = (images + 8).astype(dtype)
    submission.check(adversarial, images, 8.0)
    with pytest.raises(UserError, match=r"within 7.5 of the .* Received: 8.0"):
        submission.check(adversarial, images, 7.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:5], "must have shape"),
        (lambda x: x / 0, r"must lie in \[0, 255\]"),
        (lambda x: x - 300, r"must lie in \[0, 255\]"),
        (lambda x: x + 100, r"must lie in \[0, 255\]"),
        (lambda x: np.where(x > 0, np.nan, x), r"must lie in \[0, 255\]"),
        (lambda x: x - 8.01, "must lie within 8.0"),
        (lambda x: x.astype(str), "must be numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide")
def test_refuses_other_images(images, change, message):
    with pytest.raises(UserError, match=message):
        submission.check(change(images), images, 8.0)


@pytest.mark.slow
def test_the_command(data_dir, tmp_path, rng, monkeypatch):
    # The images are read once, and a small model classifies all of them.
    monkeypatch.setattr(data, "load", functools.cache(data.load))
    test = data.load("cifar10", data_dir).test
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.AveragePooling2D(8),
            keras.layers.Flatten(),
            keras.layers.Dense(10),
        ]
    )
    checkpoint = tmp_path / "model.keras"
    model.save(checkpoint)
    noise = rng.choice(np.array([-8, 8], "float32"), test.images.shape)
    adversarial = np.clip(255 * test.images + noise, 0, 255)
    attack, predictions = tmp_path / "attack.npy", tmp_path / "pred.npy"
    np.save(attack, adversarial)
    flags = [
        f"--checkpoint={checkpoint}",
        f"--attack={attack}",
        f"--predictions={predictions}",
        f"--data_dir={data_dir}",
    ]
    result = run_command(MODULE, *flags)
    assert result.status == 0, result.stderr
    found = np.load(predictions)
    assert found.shape == (10000,)
    expected = model.predict(adversarial / 255, batch_size=500, verbose=0)
    assert np.mean(found == expected.argmax(axis=1)) > 0.999
    assert f"Accuracy: {np.mean(found == test.labels):.2%}" in result.stdout
    line = error_line(run_command(MODULE, *flags, "--epsilon=4"))
    assert "must lie within 4.0" in line


def test_nothing_but_the_result_is_printed(stripes, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "load", lambda *_: stripes)
    model = models.build("lenet5", (12, 12, 1), 3)
    models.save(model, str(tmp_path / "model.keras"))
    np.save(tmp_path / "attack.npy", 255 * stripes.test.images)
    result = run_command(
        MODULE,
        f"--checkpoint={tmp_path}/model.keras",
        f"--attack={tmp_path}/attack.npy",
        f"--predictions={tmp_path}/pred.npy",
    )
    assert result.status == 0, result.stderr
    accuracy = np.mean(np.load(tmp_path / "pred.npy") == stripes.test.labels)
    assert result.stdout == (
        f"Accuracy: {accuracy:.2%}\nPredictions: {tmp_path}/pred.npy\n"
    )


def test_wrong_flags(tmp_path):
    check_errors(
        MODULE,
        [
            (["--predictions=pred.txt"], "must end in .npy"),
            ([f"--predictions={tmp_path}/none/pred.npy"], "is missing"),
            ([f"--attack={tmp_path}/none.npy"], "none.npy"),
            (["surplus"], "not a flag: surplus"),
        ],
        usual=["--checkpoint=cifar10_resnet32"],
    )
