"""The command that judges a model under PGD, and waits for new ones."""

import json
import shutil
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from processes import ROOT, check_errors, run

from madry_challenge import config, evaluation
from peernets_tf import data, models, results
from peernets_tf.attacks import PGD

MODULE = "madry_challenge.evaluate"
ATTACK = ["--epsilon=90", "--num_steps=3", "--step_size=45"]


@pytest.fixture
def trained(npz_path, tmp_path):
    """A LeNet-5 that tells the stripes apart, as a file."""
    dataset = data.load(npz_path)
    model = models.build("lenet5", (12, 12, 1), 3)
    model.compile(
        keras.optimizers.Adam(3e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    train = dataset.train
    model.fit(train.images, train.labels, epochs=8, verbose=0)
    path = tmp_path / "lenet5.keras"
    model.save(path)
    return path


def test_it_counts_as_by_hand(trained, npz_path, tmp_path):
    process = run(
        f"--checkpoint={trained}",
        f"--dataset={npz_path}",
        f"--output_dir={tmp_path / 'out'}",
        "--eval_batch_size=30",
        "--norandom_start",
        "--loss_func=cw",
        *ATTACK,
        module=MODULE,
    )
    assert process.returncode == 0, process.stderr
    (path,) = (tmp_path / "out").glob("*/*.json")
    record = results.read_record(str(path))
    model, test = models.load(str(trained)), data.load(npz_path).test
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
    case = record.cases[0]
    assert case["attack"] == repr(attack)
    assert [case["correct"], case["adversarial_correct"]] == correct
    assert correct[1] < correct[0]
    assert record.flags["loss_func"] == "cw"
    assert record.flags["seed"] == 0
    assert f"{correct[1] / 30:.1%}" in process.stdout


def test_it_watches_a_folder(trained, npz_path, tmp_path):
    folder, out = tmp_path / "run", tmp_path / "out"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", MODULE, "--watch"),
            f"--checkpoint={folder}",
            f"--dataset={npz_path}",
            f"--output_dir={out}",
            "--watch_seconds=0.1",
            *ATTACK,
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert (
            f"Waiting for a new model in {folder}" in process.stdout.readline()
        )
        folder.mkdir()
        for name in ("model-000300.keras", "model.keras"):
            shutil.copy(trained, tmp_path / "copy")
            (tmp_path / "copy").rename(folder / name)
            wanted = folder / name
            end = time.monotonic() + 100
            while time.monotonic() < end:
                found = [
                    json.loads(path.read_text())["checkpoint"]
                    for path in out.glob("*/*.json")
                ]
                if str(wanted) in found:
                    break
                time.sleep(0.1)
            assert str(wanted) in found
        # The trained model is the last.
        assert process.wait(100) == 0
    finally:
        process.kill()
        process.communicate()


def test_steps_of_zero():
    with pytest.raises(ValueError, match="steps"):
        evaluation.attack_of(config.Config(num_steps=0))


def test_wrong_flags(trained, npz_path, tmp_path):
    dataset = f"--dataset={npz_path}"
    checkpoint = f"--checkpoint={trained}"
    check_errors(
        f"{MODULE}:evaluate",
        [
            ([dataset], "checkpoint"),
            ([dataset, f"--checkpoint={tmp_path}"], "--watch waits for one"),
            ([dataset, checkpoint, "--watch"], "--watch takes a folder"),
            ([dataset, checkpoint, "--num_steps=0"], "`steps`"),
            ([dataset, checkpoint, "--backward=soft"], "is for PeerNets"),
            ([dataset, checkpoint, "--num_graphs=2"], "is for PeerNets"),
            (
                [dataset, "--checkpoint=cifar10_resnet32"],
                "takes images of shape (32, 32, 3)",
            ),
        ],
    )
