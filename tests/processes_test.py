"""A training by several processes."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import ROOT, check_errors, run_python

from peernets_tf import records
from peernets_tf.errors import TrainingError, UserError
from peernets_tf.training import processes
from peernets_tf.training.own_batches import OwnBatches
from peernets_tf.training.processes import Process

_TRAIN = "from peernets_tf import train; train.main()"


def test_processes_share_a_batch():
    batch = np.arange(6), 10 * np.arange(6)
    shares = [OwnBatches([batch], Process(i, 3))[0] for i in range(3)]
    assert [len(images) for images, _ in shares] == [2, 2, 2]
    for whole, parts in zip(batch, zip(*shares, strict=True), strict=True):
        np.testing.assert_array_equal(whole, np.concatenate(parts))
    np.testing.assert_array_equal(Process().share(batch[0]), batch[0])


def test_one_process_writes_to_the_folder_itself(tmp_path):
    with processes.own_folder(str(tmp_path), "seed=0") as own:
        assert own == str(tmp_path)


@pytest.fixture
def second_process(monkeypatch):
    """Makes this process the second of two, and the first one differ."""
    multihost_utils = pytest.importorskip(
        "jax.experimental.multihost_utils", reason="pip install jax"
    )
    monkeypatch.setattr(processes, "this_process", lambda: Process(1, 2))

    def differ(*differences):
        monkeypatch.setattr(
            multihost_utils,
            "process_allgather",
            lambda own: np.stack([own ^ np.uint32(differences), own]),
        )

    return differ


def test_another_process_writes_to_a_copy(tmp_path, second_process, capsys):
    second_process(0, 0)
    for name in ("run.json", "checkpoint-0002.npz", "events"):
        (tmp_path / name).write_text(name)
    before = sorted(os.listdir(tmp_path))
    with processes.own_folder(str(tmp_path), "seed=0") as own:
        assert sorted(os.listdir(own)) == ["checkpoint-0002.npz", "run.json"]
        assert (pathlib.Path(own) / "run.json").read_text() == "run.json"
        (pathlib.Path(own) / "model.keras").write_text("")
        print("progress")
    assert sorted(os.listdir(tmp_path)) == before
    assert not os.path.exists(own)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("differences", "message"),
    [((1, 0), "same flags.*seed=0"), ((0, 1), "same checkpoints")],
)
def test_processes_must_agree(tmp_path, second_process, differences, message):
    second_process(*differences)
    with (
        pytest.raises(UserError, match=message),
        processes.own_folder(str(tmp_path), "seed=0"),
    ):
        pass


@pytest.mark.parametrize("error", [RuntimeError, ValueError])
def test_a_process_that_is_alone_says_so(tmp_path, second_process, error):
    second_process(0, 0)
    folder = str(tmp_path)
    with (
        pytest.raises(TrainingError, match="process 1 .*closed.*start all"),
        processes.own_folder(folder, "seed=0"),
    ):
        raise error("UNKNOWN: connection closed\nby peer")
    with pytest.raises(error, match=r"^x"), processes.own_folder(folder, ""):
        raise error("x must be 1")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (("x", "0", "host:1"), "NUM_PROCESSES must be at least 1.*'x'"),
        (("2", "", "host:1"), "PROCESS_ID must be an integer from 0 to 1.*''"),
        (("2", "2", "host:1"), "PROCESS_ID must be an integer from 0 to 1"),
        (("2", "1", ""), "JOB_ADDRESSES must be .* host:port"),
        (("2", "1", "host"), "JOB_ADDRESSES must be .* host:port.*'host'"),
    ],
)
def test_wrong_variables_are_named(monkeypatch, variables, message):
    names = ("NUM_PROCESSES", "PROCESS_ID", "JOB_ADDRESSES")
    for name, value in zip(names, variables, strict=True):
        monkeypatch.setenv(f"KERAS_DISTRIBUTION_{name}", value)
    monkeypatch.setattr(processes.keras.backend, "backend", lambda: "jax")
    with pytest.raises(UserError, match=message):
        processes.join("data_parallel")


def test_other_processes_need_the_engine_that_has_them(monkeypatch):
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    check_errors(
        "peernets_tf.train",
        [
            ([], "needs --distribution=data_parallel"),
            (["--distribution=data_parallel"], "KERAS_BACKEND=jax"),
            (["--model=pr_lenet5", "--tensorboard_images"], "one process"),
        ],
        usual=["--dataset=mnist5k"],
    )


@pytest.mark.slow
def test_killed_processes_start_again_and_lose_nothing(npz_path, tmp_path):
    """Two processes end as one does that has two devices."""
    pytest.importorskip("jax", reason="pip install jax")
    flags = [
        "--distribution=data_parallel",
        f"--dataset={npz_path}",
        "--model=pr_lenet5",
        "--batch_size=16",
        "--epochs=6",
        "--num_peers=6",
        "--num_graphs=2",
        "--validation_size=4",
    ]
    run_python(
        _TRAIN,
        *flags,
        f"--output_dir={tmp_path / 'one'}",
        KERAS_BACKEND="jax",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    flags.append(f"--output_dir={tmp_path / 'two'}")
    first, second = start_two(flags)
    wait_for(tmp_path / "two", "checkpoint-*.npz", first)
    second.terminate()
    second.communicate(timeout=300)
    assert second.returncode == -signal.SIGTERM
    _, error = first.communicate(timeout=300)
    assert first.returncode == 1, error
    assert "Traceback" not in error, error
    assert "start all of them again" in error

    (checkpoint,) = (tmp_path / "two").glob("checkpoint-*.npz")
    assert checkpoint.name != "checkpoint-0006.npz"
    started = start_two(flags)
    outputs = []
    for process in started:
        output, error = process.communicate(timeout=300)
        assert process.returncode == 0, error
        outputs.append(output)
    # Only the first one says what all do. It goes on from the checkpoint.
    assert "Testing" in outputs[0]
    assert "Epoch 1/6" not in outputs[0]
    assert "Testing" not in outputs[1]
    one, two = (
        records.read(str(tmp_path / name / "record.json"))
        for name in ("one", "two")
    )
    for name in ("one", "two"):
        run = json.loads((tmp_path / name / "run.json").read_text())
        assert run["identity"]["distribution"] == "data_parallel"
        assert run["identity"]["num_devices"] == 2
        device = run["provenance"]["device"]
        assert len(re.findall(r"\bcpu:\d+", device)) == 2, device
    assert [row["epoch"] for row in two.history] == [1, 2, 3, 4, 5, 6]
    losses = [[row["loss"] for row in r.history] for r in (one, two)]
    # Sums in another order round differently, which changes some neighbours.
    np.testing.assert_allclose(*losses, rtol=0.05)
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=0.005)
    assert abs(two.correct - one.correct) <= 1
    names = {path.name for path in (tmp_path / "two").iterdir()}
    assert {"model.keras", "record.json", "training.csv"} <= names


def start_two(flags):
    """Starts two processes of a training, and returns them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return [
        subprocess.Popen(
            [sys.executable, "-m", "peernets_tf.train", *flags],
            cwd=ROOT,
            env={
                **os.environ,
                "KERAS_BACKEND": "jax",
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": address,
                "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
                "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]


def wait_for(folder, pattern, process):
    """Waits until a folder has a file, while a process runs."""
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
