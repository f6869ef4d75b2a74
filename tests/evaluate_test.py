"""The evaluation command, as a user runs it."""

import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from processes import ROOT, check_errors, error_line, run

from peernets_tf import draw_peers, models, results, set_peers


def evaluate(*flags, **environment):
    return run(*flags, module="peernets_tf.evaluate", **environment)


@pytest.fixture(scope="module")
def lenet5(tmp_path_factory):
    """Flags for attacking the trained LeNet-5 on some digits of mnist5k."""
    folder = tmp_path_factory.mktemp("lenet5")

    def flags(name, attack, **options):
        options = {
            "checkpoint": "mnist_lenet5",
            "dataset": "mnist5k",
            "test_size": 50,
            "batch_size": 25,
            "output_dir": folder / name,
            "attack": attack,
            **options,
        }
        return [f"--{key}={value}" for key, value in options.items()]

    flags.folder = folder
    return flags


def read(folder):
    return results.read_record(str(folder / "record.json"))


def accuracies(folder):
    return [
        case["adversarial_correct"] / case["total"]
        for case in read(folder).cases
    ]


@pytest.mark.slow
def test_attacks_and_records(lenet5):
    process = evaluate(
        *lenet5("pgd", "pgd", epsilon="0,0.1,51/255", steps=10, loss="margin")
    )
    assert process.returncode == 0, process.stderr
    record = read(lenet5.folder / "pgd")
    assert [case["epsilon"] for case in record.cases] == [0, 0.1, 0.2]
    first, second, third = accuracies(lenet5.folder / "pgd")
    assert first == record.cases[0]["correct"] / 50
    assert first > second > third
    assert "loss='margin'" in record.cases[1]["attack"]
    assert "| linf 51/255 " in process.stdout
    # The control: noise of the same norm does almost nothing.
    noise = evaluate(*lenet5("noise", "noise", epsilon=0.2))
    assert noise.returncode == 0, noise.stderr
    assert accuracies(lenet5.folder / "noise")[0] > third + 0.3

    again = evaluate(
        *lenet5("pgd", "pgd", epsilon="0,0.1,51/255", steps=10, loss="margin")
    )
    assert again.returncode == 0, again.stderr
    same = read(lenet5.folder / "pgd")
    assert same.cases == record.cases


@pytest.mark.slow
def test_searches_the_smallest_epsilon(lenet5):
    process = evaluate(*lenet5("search", "fgsm", search=True))
    assert process.returncode == 0, process.stderr
    (case,) = read(lenet5.folder / "search").cases
    assert case["epsilon"] is None
    assert case["fooled"] == case["correct"]
    assert 5 < case["mean_linf"] < 128


@pytest.mark.slow
@pytest.mark.parametrize("maker", ["deepfool", "gradient"])
def test_makes_saves_and_transfers_a_perturbation(lenet5, maker):
    options = {"rho": "0.3,0.6", "train_size": 200, "passes": 3, "maker": maker}
    process = evaluate(*lenet5(maker, "universal", **options))
    assert process.returncode == 0, process.stderr
    folder = lenet5.folder / maker
    cases = read(folder).cases
    assert cases[0]["changed"] < cases[1]["changed"]
    path = folder / "perturbation_rho_0.6.npy"
    perturbation = np.load(path)
    assert perturbation.shape == (28, 28, 1)
    assert np.linalg.norm(perturbation) <= cases[1]["epsilon"] * (1 + 1e-6)
    picture = keras.utils.load_img(path.with_suffix(".png"))
    assert np.asarray(picture).shape == (28, 28, 3)

    applied = evaluate(*lenet5(f"{maker}_file", "universal", perturbation=path))
    assert applied.returncode == 0, applied.stderr
    (case,) = read(lenet5.folder / f"{maker}_file").cases
    assert case["changed"] == cases[1]["changed"]


@pytest.fixture(scope="module")
def peernet(tmp_path_factory):
    """A PR-LeNet-5 with two graphs, not trained, and images for it."""
    folder = tmp_path_factory.mktemp("peernet")
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 1, (40, 12, 12, 1)).astype("float32")
    model = models.build("pr_lenet5", (12, 12, 1), 3)
    set_peers(model, draw_peers(images, 6, 2))
    model.save(folder / "model.keras")
    labels = np.arange(40) % 3
    np.savez(
        folder / "noise.npz",
        x_train=images,
        y_train=labels,
        x_test=images[:12],
        y_test=labels[:12],
    )
    return [
        f"--checkpoint={folder / 'model.keras'}",
        f"--dataset={folder / 'noise.npz'}",
        "--attack=pgd",
        "--steps=3",
        "--batch_size=6",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "judged", "attacked"),
    [
        ([], (6, 2, None), (6, 2, None)),
        (["--attack_graphs=1"], (6, 2, None), (6, 1, None)),
        (["--num_graphs=3"], (6, 3, [3, 0]), (6, 3, [3, 0])),
        (["--peers=drawn", "--attack_graphs=4"], (6, 2, None), (6, 4, [5, 0])),
        (["--peers=fresh", "--num_peers=4"], (4, 2, [6, 0]), (4, 2, [3, 0])),
    ],
    ids=["known", "one", "more", "drawn", "fresh"],
)
def test_what_the_attacker_knows(flags, judged, attacked, peernet, tmp_path):
    process = evaluate(
        *peernet, *flags, "--backward=identity", f"--output_dir={tmp_path}"
    )
    assert process.returncode == 0, process.stderr
    record = read(tmp_path)
    assert record.backward == "identity"
    for role, graphs in (("judged", judged), ("attacked", attacked)):
        keys = ("num_peers", "num_graphs", "seed")
        assert record.peers[role] == dict(zip(keys, graphs, strict=True))


def test_stopping_needs_the_graphs_that_count(peernet, tmp_path):
    process = evaluate(
        *peernet,
        "--stop_when_fooled",
        "--attack_graphs=1",
        f"--output_dir={tmp_path}",
    )
    assert process.returncode == 1
    assert "the graphs that count" in error_line(process)


@pytest.mark.slow
@pytest.mark.parametrize("backward", ["exact", "identity", "soft"])
def test_jax_counts_the_same(backward, peernet, tmp_path):
    pytest.importorskip("jax", reason="pip install jax")
    flags = [*peernet, f"--backward={backward}", "--norandom_start"]
    cases = []
    for backend in ("tensorflow", "jax"):
        process = evaluate(
            *flags, f"--output_dir={tmp_path / backend}", KERAS_BACKEND=backend
        )
        assert process.returncode == 0, process.stderr
        cases += read(tmp_path / backend).cases
    counts = ("correct", "adversarial_correct", "changed", "zero_gradients")
    first, second = ({key: case[key] for key in counts} for case in cases)
    assert first == second


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_kill_and_the_same_command(lenet5):
    flags = lenet5(
        "killed", "universal", rho=0.5, train_size=2000, passes=3,
        fooling_rate=1.0, maker_batch_size=50,
    )  # fmt: skip
    folder = lenet5.folder / "killed"
    process = subprocess.Popen(
        [sys.executable, "-m", "peernets_tf.evaluate", *map(str, flags)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    progress = folder / "perturbation_rho_0.5.npz"
    for _ in range(1200):
        if progress.exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with np.load(progress) as state:
        assert 0 < state["batches"] < 120
    resumed = evaluate(*flags)
    assert resumed.returncode == 0, resumed.stderr
    whole = lenet5(
        "whole", "universal", rho=0.5, train_size=2000, passes=3,
        fooling_rate=1.0, maker_batch_size=50,
    )  # fmt: skip
    assert evaluate(*whole).returncode == 0
    np.testing.assert_array_equal(
        np.load(folder / "perturbation_rho_0.5.npy"),
        np.load(lenet5.folder / "whole" / "perturbation_rho_0.5.npy"),
    )
    assert read(folder).cases == read(lenet5.folder / "whole").cases


def test_bad_flags_are_one_line(tmp_path):
    cases = [
        (["--attack=fgsm", "--epsilon=a"], "not numbers"),
        (["--attack=fgsm", "--epsilon=-1"], "negative"),
        (["--attack=sgd"], "attack"),
        (["--attack=fgsm", "--rho=0.1", "--epsilon=1"], "--rho"),
        (["--attack=fgsm", "--dataset=mnist6k"], "unknown dataset"),
        (["--attack=fgsm", "--checkpoint=nowhere"], "no file"),
        (["--attack=gradient_descent", "--norm=linf"], "norm l2"),
        (["--attack=noise", "--search"], "--search"),
        (["--attack=noise", "--targeted"], "--targeted"),
        (["--attack=noise", "--backward=soft"], "--backward"),
        (["--attack=pgd", "--temperature=0.1"], "--temperature"),
        (["--attack=pgd", "--search", "--nokeep_best"], "--keep_best"),
        (["--attack=pgd", "--stop_when_fooled", "--nokeep_best"], "keep_best"),
        (["--attack=fgsm", "--search", "--epsilon=1,2"], "one --epsilon"),
        (["--attack=fgsm", "--search", "--rho=0.1"], "--rho"),
        (
            ["--attack=universal", "--perturbation=a.npy", "--train_size=3"],
            "--train_size",
        ),
        (["--attack=fgsm", "--perturbation=a.npy"], "--perturbation"),
        (["--attack=fgsm", "--steps=3"], "--steps"),
        (["--attack=deepfool", "--norm=linf"], "--norm"),
        (["--attack=pgd", "--search", "--step_size=0.1"], "--step_size"),
        (["--attack=pgd", "--backward=identity"], "--backward"),
        (["--attack=pgd", "--restarts=2", "--nokeep_best"], "restarts"),
        (
            ["--attack=universal", "--perturbation=README.md"],
            "cannot read README.md",
        ),
    ]
    usual = [
        "--checkpoint=mnist_lenet5",
        "--dataset=mnist5k",
        "--test_size=10",
        f"--output_dir={tmp_path}",
    ]
    check_errors(
        "peernets_tf.evaluate:evaluate",
        [([*usual, *flags], message) for flags, message in cases],
    )


def test_a_softmax_model_is_refused(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.save(tmp_path / "model.keras")
    process = evaluate(
        f"--checkpoint={tmp_path / 'model.keras'}",
        "--dataset=mnist5k",
        "--attack=fgsm",
        f"--output_dir={tmp_path}",
    )
    assert process.returncode == 1
    assert "softmax" in error_line(process)
