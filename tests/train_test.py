"""The training command, as a user runs it."""

import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from commands import (
    ROOT,
    check_errors,
    error_line,
    flags_of,
    run_command,
)

from peernets_tf import datasets, models, peers, records, training
from peernets_tf.cli import app
from peernets_tf.records import paper

TRAIN = "peernets_tf.train"


def quick(npz_path, output_dir, **options):
    flags = {
        "dataset": npz_path,
        "model": "pr_lenet5",
        "output_dir": output_dir,
        "epochs": 2,
        "num_peers": 6,
        "num_graphs": 2,
        **options,
    }
    return [f"--{name}={value}" for name, value in flags.items()]


def train(*flags):
    """Runs the command, and returns what it printed."""
    result = run_command(TRAIN, *flags)
    assert result.status == 0, result.stderr
    return result.stdout


def read_record(folder):
    return records.read(str(folder / "record.json"))


def parsed(*flags):
    """Returns the configuration that the command makes of flags."""
    with flags_of(TRAIN):
        rest = app.parse_flags([TRAIN, *flags])
        return sys.modules[TRAIN].COMMAND.parse(rest[1:]).training


def test_trains_tests_and_saves(npz_path, tmp_path):
    stdout = train(*quick(npz_path, tmp_path / "a", seed=5))
    record = read_record(tmp_path / "a")
    assert f"test accuracy {record.accuracy:.2%}" in stdout
    assert record.graphs == records.Graphs(
        num_peers=6, num_graphs=2, seed=(3, 5)
    )
    assert [row["epoch"] for row in record.history] == [1, 2]
    assert record.provenance.seed == 5
    assert record.provenance.flags["learning_rate"] == 1e-3
    assert f"--output_dir={tmp_path / 'a'}" in record.provenance.command

    # The saved model has the record's hash and gives its count again.
    model = models.load(tmp_path / "a" / "model.keras")
    assert models.weights_sha256(model) == record.weights_sha256
    test = datasets.load(npz_path).test
    correct = training.count_correct(peers.monte_carlo(model), test, verbose=0)
    assert correct == record.correct

    assert {
        "backend",
        "distribution",
        "noise_share",
        "noise_std",
        "num_devices",
        "precision",
    } <= records.run_folder.identity_of(str(tmp_path / "a")).keys()

    # Another run of the same flags gives the same record.
    train(*quick(npz_path, tmp_path / "b", seed=5))
    again = read_record(tmp_path / "b")
    assert again.weights_sha256 == record.weights_sha256
    assert again.history == record.history
    assert again.correct == record.correct

    # It may be tested again on fewer images, without any training.
    stdout = train(*quick(npz_path, tmp_path / "a", seed=5, test_size=10))
    assert "Epoch" not in stdout
    shorter = read_record(tmp_path / "a")
    assert (shorter.test_size, shorter.history) == (10, record.history)
    assert "--test_size=10" in shorter.provenance.command


def test_mixed_precision(npz_path, tmp_path):
    train(*quick(npz_path, tmp_path, precision="mixed_bfloat16", epochs=1))
    assert read_record(tmp_path).provenance.flags["precision"] == (
        "mixed_bfloat16"
    )
    # Inference with the saved model is mixed, too, and its weights are not.
    model = models.load(tmp_path / "model.keras")
    layers = {layer.name: layer for layer in model.layers}
    assert layers["conv1"].compute_dtype == "bfloat16"
    assert layers["peers1"].compute_dtype == "bfloat16"
    assert layers["logits"].compute_dtype == "float32"
    assert {str(weight.dtype) for weight in model.trainable_weights} == {
        "float32"
    }
    # Nothing else of this process changed.
    assert keras.config.dtype_policy().name == "float32"
    again = run_command(TRAIN, *quick(npz_path, tmp_path, epochs=1))
    assert "precision" in error_line(again)


def test_starts_from_another_model(npz_path, tmp_path):
    start = tmp_path / "start"
    train(*quick(npz_path, start, model="lenet5", epochs=1, batch_size=32))
    path = start / "model.keras"
    flags = quick(
        npz_path,
        tmp_path / "run",
        initial_model=path,
        epochs=1,
        optimizer="momentum",
        learning_rate=0,
    )
    train(*flags)
    record = read_record(tmp_path / "run")
    assert record.initial_model == records.InitialModel(
        path=str(path),
        model="lenet5",
        epochs=1,
        weights_sha256=read_record(start).weights_sha256,
    )
    assert record.epochs == "1 + 1"
    # The record beside a model may be that of another one.
    other = models.load(path)
    other.get_layer("logits").bias.assign_add(np.ones(other.output_shape[-1]))
    other.save(start / "other.keras")
    described = training.start_from(str(start / "other.keras"), other)
    assert described.epochs is None
    # With a learning rate of 0 the weights are still those of the start.
    model, initial = (
        models.load(tmp_path / "run" / "model.keras"),
        models.load(path),
    )
    for name in ("conv1", "conv2", "dense1", "dense2", "logits"):
        for a, b in zip(
            model.get_layer(name).get_weights(),
            initial.get_layer(name).get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_and_resume(npz_path, tmp_path):
    epochs = 40
    flags = quick(
        npz_path, tmp_path, model="lenet5", epochs=epochs, batch_size=8
    )
    process = subprocess.Popen(
        [sys.executable, "-m", TRAIN, *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell's background job ignores Ctrl-C, and so would its child.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("checkpoint-*")):
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "give the same command again to resume" in output
    assert "Traceback" not in output
    (path,) = tmp_path.glob("checkpoint-*")
    reached = int(path.name[11:15])
    assert reached < epochs

    stdout = train(*flags)
    assert f"Epoch {reached + 1}/{epochs}" in stdout
    assert f"Epoch {reached}/" not in stdout
    history = read_record(tmp_path).history
    assert [row["epoch"] for row in history] == [*range(1, epochs + 1)]


def test_bad_input_is_one_clear_line(npz_path, tmp_path):
    cases = [
        (["--dataset=imagenet"], "unknown dataset 'imagenet'"),
        (["--dataset=none.npz"], "which does not exist"),
        (["--model=vgg"], "value should be one of"),
        (["--epochs=0"], "0 is not a positive integer"),
        (["--num_peers=97"], "num_peers=97"),
        (["--batch_size=97"], "batch_size=97"),
        (["--batch_size=1"], "batch_size=1"),
        (["--decay_epochs=a,b"], "decay_epochs"),
        (["--decay_epochs=175,100"], "ascending order"),
        (["--no_such_flag"], "no_such_flag"),
        (
            ["--initial_model=none.keras"],
            "one of the published models",
        ),
        (["--initial_model=README.md"], "README.md is not a .keras"),
        (["cifar10"], "not a flag: cifar10"),
        (["--output_dir=/dev/null/x"], "/dev/null/x"),
    ]
    check_errors(TRAIN, cases, usual=quick(npz_path, tmp_path))


def test_other_images_in_the_same_file(npz_path, tmp_path):
    flags = quick(npz_path, tmp_path, model="lenet5", epochs=1, batch_size=8)
    train(*flags)
    arrays = dict(np.load(npz_path))
    arrays["y_train"] = arrays["y_train"][::-1]
    np.savez(npz_path, **arrays)
    check_errors(TRAIN, [(flags, "dataset_sha256")])


def test_data_dir_without_the_dataset(tmp_path, monkeypatch):
    # No way out, as on a machine without network.
    for name in ("https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    # Between its ten trials TFDS waits for four minutes in all.
    monkeypatch.setattr("urllib3.util.Retry.sleep", lambda *_: None)
    flags = ["--dataset=cifar10", f"--data_dir={tmp_path}"]
    result = run_command(TRAIN, *flags, f"--output_dir={tmp_path / 'run'}")
    assert "--data_dir" in error_line(result)


def test_the_way_without_a_gpu_begins_with_its_first_step(
    tmp_path, monkeypatch
):
    first, second = "short_cifar10_start", "short_cifar10_pr_resnet32"
    advice = parsed("--dataset=cifar10").advice
    assert f"--flagfile={first}, then --flagfile={second}." in advice
    assert parsed("--dataset=cifar10", "--epochs=2").advice == ""
    monkeypatch.chdir(tmp_path)
    line = error_line(run_command(TRAIN, f"--flagfile={second}"))
    assert "--initial_model must be" in line
    assert f"make it with python -m {TRAIN} --flagfile={first}" in line


def test_defaults(npz_path):
    config = parsed()
    assert (config.dataset, config.model) == ("mnist5k", "pr_lenet5")
    assert config.recipe == training.recipe("pr_lenet5", "mnist5k")
    assert config.output_dir == os.path.join("runs", "mnist5k_pr_lenet5")
    own = os.path.splitext(os.path.basename(npz_path))[0]
    config = parsed(f"--dataset={npz_path}", "--model=resnet32")
    assert config.output_dir == os.path.join("runs", f"{own}_resnet32")
    assert parsed("--dataset=cifar10").model == "pr_resnet32"


def test_flags_change_the_recipe():
    config = parsed("--decay_epochs=3,5", "--noaugment", "--dataset=cifar10")
    assert config.recipe.decay_epochs == (3, 5)
    assert config.recipe.augment is False
    assert config.recipe.epochs == 350


@pytest.mark.parametrize(
    ("dataset", "model"),
    # MagNet stands in front of a network that is trained already.
    [key for key in paper.ACCURACY if key[1] in models.MODEL_NAMES],
)
def test_flagfiles_are_the_recipes_of_the_published_rows(dataset, model):
    """Each published row has its file, which changes nothing of its recipe."""
    config = parsed(f"--flagfile={ROOT}/flags/{dataset}_{model}.flags")
    assert (config.dataset, config.model) == (dataset, model)
    # Table 5 names its own N and M.
    is_table_5 = dataset == "cifar100" and model.startswith("pr_")
    own = {"num_peers": 500, "num_graphs": 5} if is_table_5 else {}
    expected = training.recipe(model, dataset)
    for name, value in vars(expected).items():
        assert getattr(config.recipe, name) == own.get(name, value), name
