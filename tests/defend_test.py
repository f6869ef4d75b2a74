"""MagNet by a command: the model, its record, and an evaluation of it."""

import numpy as np
import pytest
from commands import ROOT, check_errors, run_command
from small_models import make_linear, make_peernet

from peernets_tf import datasets, defenses, models, peers, records

DEFEND = "peernets_tf.defend"


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "linear.keras"
    models.save(make_linear(), str(path))
    return path


def run(module, *flags):
    result = run_command(module, *flags)
    assert result.status == 0, result.stderr
    return result.stdout


def test_the_defended_model_is_trained_tested_and_attacked(
    npz_path, checkpoint, tmp_path
):
    folder = tmp_path / "magnet"
    flags = [
        f"--checkpoint={checkpoint}",
        f"--dataset={npz_path}",
        f"--output_dir={folder}",
        "--validation_size=12",
        "--false_positive_rate=0.5",
        "--epochs=1",
        "--seed=3",
    ]
    printed = run(DEFEND, *flags)
    dataset = datasets.load(npz_path)
    model = models.load(folder / "model.keras")
    predictions = model.predict(dataset.test.images, verbose=0).argmax(axis=1)
    record = records.read(str(folder / "record.json"))
    # The last 12 images set the thresholds.
    expected = defenses.with_magnet(
        models.load(checkpoint),
        dataset.train.images[:-12],
        dataset.train.images[-12:],
        false_positive_rate=0.5,
        epochs=1,
        seed=3,
        verbose=0,
    )
    values = zip(model.get_weights(), expected.get_weights(), strict=True)
    for value, other in values:
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-6)
    assert record.model == model.name == "magnet_linear"
    assert record.weights_sha256 == models.weights_sha256(model)
    assert record.correct == np.sum(predictions == dataset.test.labels)
    assert record.rejected == np.sum(predictions == dataset.num_classes)
    assert record.train_size == len(dataset.train) - 12
    assert record.initial_model.path == str(checkpoint)
    assert record.defense == (
        "MagNet(false_positive_rate=0.5, epochs=1, validation_size=12)"
    )
    assert record.epochs == "? + MagNet"
    assert record.provenance.seed == 3
    assert f"{record.rejected} of {len(dataset.test)} images reject" in printed
    # Another run does not overwrite it.
    other = [*flags, "--seed=4"]
    check_errors(DEFEND, [(other, str(folder))])
    # MagNet in front of MagNet would reject by a class.
    again = [f"--checkpoint={folder / 'model.keras'}"]
    again.append(f"--output_dir={tmp_path / 'again'}")
    check_errors(DEFEND, [(again, "one for each class")])
    # The record names the data set; what rejection means, only the flag can.
    attack = [
        f"--checkpoint={folder / 'model.keras'}",
        "--attack=pgd",
        "--steps=2",
        f"--output_dir={tmp_path / 'attack'}",
    ]
    check_errors("peernets_tf.evaluate", [(attack, "rejected_as=wrong")])
    printed = run("peernets_tf.evaluate", *attack, "--rejected_as=right")
    assert "a rejected image counts as right" in printed
    # The reformer may hide a gradient.
    for backward in ("exact", "identity"):
        path = tmp_path / "attack" / backward / "record.json"
        assert records.read(str(path)).backward == backward


def test_a_peernet_is_tested_with_the_mean_over_its_graphs(
    npz_path, stripes, tmp_path
):
    checkpoint = tmp_path / "peernet.keras"
    models.save(make_peernet(stripes), str(checkpoint))
    folder = tmp_path / "magnet"
    run(
        DEFEND,
        f"--checkpoint={checkpoint}",
        f"--dataset={npz_path}",
        f"--output_dir={folder}",
        "--validation_size=12",
        "--epochs=1",
    )
    record = records.read(str(folder / "record.json"))
    assert record.graphs == records.Graphs(num_peers=6, num_graphs=2)
    model = peers.monte_carlo(models.load(folder / "model.keras"))
    test = datasets.load(npz_path).test
    predictions = model.predict(test.images, verbose=0).argmax(axis=1)
    assert record.correct == np.sum(predictions == test.labels)
    published = tmp_path / "published"
    run(
        "peernets_tf.publish",
        f"--run_dir={folder}",
        f"--output_dir={published}",
        "--name=defended",
        "--test_size=5",
    )
    small = records.read(str(published / "defended.json"))
    assert (small.test_size, small.graphs.num_graphs) == (5, 1)
    assert small.rejected <= 5
    card = (published / "defended.md").read_text(encoding="utf-8")
    assert "`MagNet(" in card and "in front of the peernet" in card


def test_the_recorded_defences_cost_little_accuracy():
    """Within 3 points of the same network without the defence."""

    def accuracy(name):
        record = read_result(name)
        return record.correct / record.test_size

    for name, network in (
        ("brelu_cifar10_resnet32", "cifar10_resnet32"),
        ("magnet_cifar10_resnet32", "cifar10_resnet32"),
        ("magnet_mnist_lenet5", "mnist_lenet5"),
    ):
        assert accuracy(name) > accuracy(network) - 0.03
    rejecting = read_result("magnet_mnist_lenet5")
    assert rejecting.rejected <= 0.01 * rejecting.test_size


def read_result(name):
    return records.read(str(ROOT / "results" / f"train_{name}.json"))


def test_what_cannot_be_defended_is_one_line(npz_path, checkpoint, tmp_path):
    common = [f"--checkpoint={checkpoint}", f"--output_dir={tmp_path / 'out'}"]
    cases = [
        (["--dataset=mnist5k"], "shape (28, 28, 1)"),
        ([], "give --dataset"),
        ([f"--dataset={npz_path}", "--validation_size=900"], "and below 96"),
        (
            [f"--dataset={npz_path}", "--false_positive_rate=1"],
            "between 0 and 1. Received: 1.0",
        ),
    ]
    check_errors(DEFEND, [([*common, *flags], text) for flags, text in cases])
    assert not (tmp_path / "out").exists()
