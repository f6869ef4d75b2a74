"""The command that evaluates a model under PGD."""

import keras
import numpy as np
import pytest
from commands import check_errors, error_line, run_command

from madry_challenge import data
from peernets_tf import models, records
from peernets_tf.attacks import PGD

MODULE = "madry_challenge.evaluate"


@pytest.fixture(scope="module")
def trained(stripes, tmp_path_factory):
    """A LeNet-5 that tells the stripes apart, as a file."""
    keras.utils.set_random_seed(0)
    model = models.build("lenet5", (12, 12, 1), 3)
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    train = stripes.train
    model.fit(train.images, train.labels, epochs=8, verbose=0)
    path = tmp_path_factory.mktemp("trained") / "lenet5.keras"
    models.save(model, str(path))
    return path


def test_it_counts_as_by_hand(trained, stripes, npz_path, tmp_path):
    # A folder of a training: its newest model is evaluated.
    folder = tmp_path / "run"
    folder.mkdir()
    path = folder / "model.keras"
    path.write_bytes(trained.read_bytes())
    result = run_command(
        MODULE,
        f"--checkpoint={folder}",
        f"--dataset={npz_path}",
        f"--output_dir={tmp_path / 'out'}",
        "--eval_batch_size=30",
        "--norandom_start",
        "--loss_func=cw",
        "--epsilon=90",
        "--num_steps=3",
        "--step_size=45",
    )
    assert result.status == 0, result.stderr
    (record_path,) = (tmp_path / "out").glob("*/*/record.json")
    record = records.read(str(record_path))
    model, test = models.load(trained), stripes.test
    attack = PGD(
        epsilon=90 / 255,
        steps=3,
        step_size=45 / 255,
        loss="margin",
        random_start=False,
        keep_best=False,
    )
    adversarial = attack(model, test.images, test.labels)
    correct = [
        int(np.sum(np.argmax(model(images), axis=1) == test.labels))
        for images in (test.images, adversarial)
    ]
    (case,) = record.cases
    assert record.checkpoint == str(path)
    assert case.attack == repr(attack)
    assert [case.correct, case.adversarial_correct] == correct
    assert correct[1] < correct[0]
    assert record.provenance.flags["loss_func"] == "cw"
    assert record.provenance.flags["seed"] == 0
    assert f"{correct[1] / 30:.1%}" in result.stdout


def test_a_model_is_read_before_data_are_downloaded(tmp_path, monkeypatch):
    def download(*_):
        raise AssertionError("data were loaded")

    monkeypatch.setattr(data, "load", download)
    path = tmp_path / "model.keras"
    path.write_text("x")
    for flags, message in (
        ([f"--checkpoint={path}"], "is not a .keras file"),
        ([f"--checkpoint={tmp_path}/none"], "mnist_pr_lenet5"),
    ):
        assert message in error_line(run_command(MODULE, *flags))


def test_wrong_flags(trained, npz_path, tmp_path):
    checkpoint = f"--checkpoint={trained}"
    check_errors(
        MODULE,
        [
            ([], "checkpoint"),
            ([f"--checkpoint={tmp_path}"], "give --watch to wait"),
            ([checkpoint, "--watch"], "--watch needs the folder"),
            ([f"--checkpoint={__file__}", "--watch"], "leave out --watch"),
            ([checkpoint, "--num_steps=0"], "num_steps must be at least 1"),
            ([checkpoint, "--num_steps=-1"], "--num_steps must be finite"),
            ([checkpoint, "--seed=-1"], "--seed must be finite"),
            (["--checkpoint=runs/none"], "--watch waits for a training's"),
            ([checkpoint, "--backward=soft"], "no PeerRegularization layer"),
            ([checkpoint, "--num_graphs=2"], "no PeerRegularization layer"),
            (["--checkpoint=cifar10_resnet32"], "images of shape (32, 32, 3)"),
            ([checkpoint, "surplus"], "not a flag: surplus"),
        ],
        usual=[f"--dataset={npz_path}"],
    )
