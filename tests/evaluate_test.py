"""The command `python -m peernets_tf.evaluate`."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import ROOT, check_errors, run_command, run_python
from small_models import SHAPE, make_linear, make_peernet

from peernets_tf import datasets, records

MODULE = "peernets_tf.evaluate"
PRESET = "cifar10_resnet32"


@pytest.fixture
def linear(npz_path, tmp_path):
    return flags_of(make_linear(), npz_path, tmp_path)


@pytest.fixture
def peernet(rng, tmp_path):
    # Of uniform images, because neighbours in stripes are equal and the exact
    # gradient there is mere rounding.
    path = str(tmp_path / "uniform.npz")
    images, labels = rng.uniform(size=(40, *SHAPE)), np.arange(40) % 3
    train = {"x_train": images, "y_train": labels}
    np.savez(path, **train, x_test=images[:12], y_test=labels[:12])
    return flags_of(make_peernet(datasets.load(path)), path, tmp_path)


def flags_of(model, npz_path, tmp_path):
    """Flags that name a model and a data set, and a folder's flag."""
    path = tmp_path / "model.keras"
    model.save(path)

    def flags(folder, *more):
        return [
            f"--checkpoint={path}",
            f"--dataset={npz_path}",
            f"--output_dir={tmp_path / folder}",
            *more,
        ]

    return flags


def evaluate(*flags):
    result = run_command(MODULE, *flags)
    assert result.status == 0, result.stderr
    (folder,) = [f for f in flags if f.startswith("--output_dir=")]
    return records.read(os.path.join(folder.partition("=")[2], "record.json"))


def test_flags_reach_the_record(linear):
    flags = linear(
        "run",
        "--attack=pgd",
        "--epsilon=0,51/255",
        "--steps=3",
        "--loss=margin",
        "--nokeep_best",
        "--test_size=20",
        "--batch_size=8",
        "--seed=2",
    )
    result = run_command(MODULE, *flags)
    record = evaluate(*flags)
    assert record.checkpoint in flags[0]
    assert record.dataset in flags[1]
    assert record.test_size == 20
    assert [case.epsilon for case in record.cases] == [0, 0.2]
    assert record.cases[1].attack == (
        "PGD(epsilon=0.2, steps=3, step_size=None, norm='linf', "
        "loss='margin', targeted=False, random_start=True, restarts=1, "
        "keep_best=False, stop_when_fooled=False)"
    )
    assert record.provenance.seed == 2
    assert record.provenance.flags["epsilon"] == ["0", "51/255"]
    assert record.provenance.flags["keep_best"] is False
    assert f"python -m {MODULE} --checkpoint=" in record.provenance.command
    assert "record.json" in result.stdout


def test_images_made_on_a_peernet(linear, stripes, tmp_path):
    """Along its exact gradient, and with the identity backward pass."""
    path = tmp_path / "peernet.keras"
    make_peernet(stripes).save(path)
    flags = linear("run", "--attack=pgd", "--steps=2", "--test_size=4")
    result = run_command(MODULE, *flags, f"--transfer_from={path}")
    assert result.status == 0, result.stderr
    for backward in ("exact", "identity"):
        record = records.read(str(tmp_path / "run" / backward / "record.json"))
        assert (record.model, record.backward) == ("linear", backward)
        assert record.transfer_from == str(path)
    assert "images made on" in result.stdout


def test_names_of_universal_perturbations(linear, tmp_path):
    fit = ["--attack=universal", "--rho=0.5", "--passes=2", "--train_size=40"]
    by_deepfool = evaluate(*linear("deepfool", *fit, "--maker_batch_size=8"))
    assert by_deepfool.attack == "universal.deepfool"
    assert "batch_size=8" in by_deepfool.cases[0].attack
    by_gradient = evaluate(*linear("gradient", *fit, "--maker=gradient"))
    assert by_gradient.attack == "universal.gradient"
    path = tmp_path / "gradient" / "perturbation_rho_0.5.npy"
    file = ["--attack=universal", f"--perturbation={path}"]
    from_file = evaluate(*linear("file", *file))
    assert from_file.attack == "universal.file"
    assert from_file.cases[0].changed == by_gradient.cases[0].changed


def test_readings_of_the_strength_of_a_universal_perturbation(linear):
    fit = ["--attack=universal", "--rho=2", "--passes=1", "--train_size=20"]
    (unit,) = evaluate(*linear("unit", *fit, "--maker=gradient")).cases
    assert (unit.rho_of, unit.clip) == ("unit", True)
    record = evaluate(
        *linear("other", *fit, "--maker=gradient"),
        *("--rho_of=centered", "--noclip"),
    )
    (other,) = record.cases
    assert (other.rho_of, other.clip) == ("centered", False)
    assert other.epsilon < unit.epsilon
    record = evaluate(*linear("published", *fit, "--maker=sequential"))
    assert record.attack == "universal.sequential"
    assert not record.cases[0].clip


def test_flags_of_attacks_that_know_peers(peernet):
    record = evaluate(
        *peernet(
            "expectation",
            "--attack=fgsm",
            "--peers=drawn",
            "--num_peers=4",
            "--graph_expectation=2",
            "--attack_graphs=3",
            "--backward=identity",
        )
    )
    assert record.threat_model.expectation == 2
    assert record.threat_model.attacker.num_graphs == 3
    record = evaluate(
        *peernet(
            "guided",
            "--attack=neighbor_guided",
            "--num_peers=12",
            "--num_graphs=1",
            "--steps=2",
            "--restarts=2",
            "--guides_per_pixel=3",
            "--steps_per_choice=1",
            "--backward=identity",
        )
    )
    assert record.cases[0].attack.endswith(
        "steps=2, step_size=None, guides_per_pixel=3, steps_per_choice=1, "
        "restarts=2)"
    )


def test_flags_of_ablations(peernet):
    flags = ["--attack=noise", "--num_graphs=1", "--num_neighbors=2"]
    record = evaluate(*peernet("k", *flags))
    assert (record.ablation, record.num_neighbors) == (None, 2)
    record = evaluate(*peernet("random", *flags, "--ablation=random_neighbors"))
    assert (record.ablation, record.num_neighbors) == ("random_neighbors", 2)


def test_flags_of_peers(peernet):
    record = evaluate(
        *peernet(
            "run",
            "--attack=fgsm",
            "--peers=fresh",
            "--num_peers=4",
            "--attack_graphs=1",
            "--backward=soft",
            "--temperature=0.1",
        )
    )
    assert record.backward == "soft"
    assert record.threat_model == records.ThreatModel(
        policy="fresh",
        defended=records.Graphs(num_peers=4, num_graphs=2, seed=(6, 0)),
        attacker=records.Graphs(num_peers=4, num_graphs=1, seed=(3, 0)),
    )


def test_a_peernet_is_judged_by_two_backward_passes(peernet, tmp_path):
    pgd = ["--attack=pgd", "--steps=3", "--epsilon=0.3"]
    result = run_command(MODULE, *peernet("both", *pgd))
    assert result.status == 0, result.stderr
    for backward in ("exact", "identity"):
        path = str(tmp_path / "both" / backward / "record.json")
        assert records.read(path).backward == backward
    table, sentence = result.stdout.split("\n\nThe exact gradient")
    rows = [line for line in table.splitlines() if "peernet" in line]
    assert ["identity" in row for row in rows[-2:]] == [False, True]
    assert "judge the model by the lower accuracy" in sentence
    # One backward pass, chosen, is one row.
    chosen = evaluate(*peernet("one", *pgd, "--backward=exact"))
    assert chosen.backward == "exact"
    # Noise follows no gradient.
    assert evaluate(*peernet("noise", "--attack=noise")).backward == "exact"


@pytest.mark.slow
def test_the_trained_model_of_the_package(tmp_path):
    common = ["--checkpoint=mnist_lenet5", "--dataset=mnist5k"]
    common += ["--test_size=50", "--epsilon=0.2"]

    def attacked(attack, *flags):
        folder = f"--output_dir={tmp_path / attack}"
        record = evaluate(*common, f"--attack={attack}", folder, *flags)
        return record.cases[0].adversarial_correct

    # The control: noise of the same norm does almost nothing.
    assert attacked("pgd", "--steps=10") + 15 < attacked("noise")


_ALL_BACKWARDS = """
import sys

sys.path.insert(0, "tests")
from commands import run_command

for backward in ("exact", "identity", "soft"):
    flags = [f"--backward={backward}", f"--output_dir={sys.argv[1]}/{backward}"]
    result = run_command("peernets_tf.evaluate", *sys.argv[2:], *flags)
    assert result.status == 0, result.stderr
"""


@pytest.mark.slow
def test_jax_counts_the_same(peernet, tmp_path):
    pytest.importorskip("jax", reason="pip install jax")
    checkpoint, dataset, _, *flags = peernet(
        "", "--attack=pgd", "--steps=3", "--epsilon=0.3", "--norandom_start"
    )
    flags = [checkpoint, dataset, *flags]
    folder = tmp_path / "jax"
    run_python(_ALL_BACKWARDS, folder, *flags, KERAS_BACKEND="jax")
    for backward in ("exact", "identity", "soft"):
        in_jax = records.read(str(folder / backward / "record.json"))
        assert "jax backend" in in_jax.provenance.device
        output_dir = f"--output_dir={tmp_path / backward}"
        here = evaluate(*flags, f"--backward={backward}", output_dir)
        (first,), (second,) = in_jax.cases, here.cases
        for count in ("adversarial_correct", "changed", "zero_gradients"):
            assert getattr(first, count) == getattr(second, count), backward
        # Noise in the exact gradient changes none: it is masked.
        assert first.changed > 0 or backward == "exact"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_kill_and_the_same_command(linear, tmp_path):
    fit = ["--attack=universal", "--rho=0.5", "--passes=10"]
    fit += ["--maker_batch_size=1", "--fooling_rate=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, *linear("killed", *fit)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    progress = tmp_path / "killed" / "perturbation_rho_0.5.npz"
    for _ in range(6000):
        if progress.exists() or process.poll() is not None:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with np.load(progress) as state:
        assert 0 < state["batches"] < 960
    resumed = evaluate(*linear("killed", *fit))
    whole = evaluate(*linear("whole", *fit))
    assert resumed.cases == whole.cases
    np.testing.assert_array_equal(
        np.load(progress.with_suffix(".npy")),
        np.load(tmp_path / "whole" / "perturbation_rho_0.5.npy"),
    )


def test_bad_flags_are_one_line(linear, tmp_path):
    cases = [
        ([], "attack"),
        (["--attack=sgd"], "attack"),
        (["--attack=fgsm", "more"], "not a flag: more"),
        (["--attack=fgsm", "--epsilon=a"], "numbers must be finite"),
        (["--attack=fgsm", "--epsilon=-1"], "negative"),
        (["--attack=fgsm", "--test_size=0"], "test_size"),
        (["--attack=fgsm", "--rho=0.1", "--epsilon=1"], "rho"),
        (["--attack=fgsm", "--rho_of=centered"], "rho_of needs rho"),
        (["--attack=pgd", "--noclip"], "clip"),
        (["--attack=fgsm", "--dataset=mnist6k"], "mnist6k"),
        (["--attack=fgsm", "--checkpoint=nowhere"], "mnist_pr_lenet5"),
        (["--attack=fgsm", "--checkpoint=README.md"], "not a .keras file"),
        (["--attack=gradient_descent", "--norm=linf"], "l2"),
        (["--attack=noise", "--search"], "search"),
        (["--attack=noise", "--targeted"], "targeted"),
        (["--attack=noise", "--backward=soft"], "backward"),
        (["--attack=pgd", "--temperature=0.1"], "temperature"),
        (["--attack=pgd", "--search", "--nokeep_best"], "keep_best"),
        (["--attack=pgd", "--stop_when_fooled", "--nokeep_best"], "keep_best"),
        (["--attack=pgd", "--search", "--step_size=0.1"], "step_size"),
        (["--attack=pgd", "--maker=gradient"], "--maker"),
        (["--attack=pgd", "--maker_batch_size=8"], "--maker_batch_size"),
        (["--attack=fgsm", "--search", "--epsilon=1,2"], "one epsilon"),
        (["--attack=fgsm", "--perturbation=a.npy"], "perturbation"),
        (["--attack=fgsm", "--steps=3"], "steps"),
        (["--attack=pgd", "--steps=3,0"], "expected whole numbers"),
        (["--attack=pgd", "--steps="], "--steps: give one or more numbers"),
        (["--attack=pgd", "--steps=3,3"], "strengths must differ"),
        (["--attack=deepfool", "--norm=linf"], "norm"),
        (["--attack=pgd", "--backward=identity"], "no PeerRegularization"),
        (["--attack=pgd", "--peers=drawn"], "no PeerRegularization"),
        (["--attack=pgd", "--graph_expectation=2"], "no PeerRegularization"),
        (["--attack=pgd", "--ablation=no_layers"], "no PeerRegularization"),
        (["--attack=neighbor_guided"], "no PeerRegularization"),
        (["--attack=noise", f"--transfer_from={PRESET}"], "same images on"),
        (["--attack=pgd", "--transfer_from=nowhere"], "mnist_pr_lenet5"),
        (["--attack=square", f"--transfer_from={PRESET}"], "choose pgd"),
        (["--attack=fab", "--search"], "fab has no search"),
        (
            ["--attack=universal", "--maker=sequential"]
            + ["--maker_batch_size=8"],
            "--maker_batch_size is not for --maker=sequential",
        ),
        (["--attack=pgd", f"--transfer_from={PRESET}"], "images of shape"),
        (
            [
                *("--attack=noise", "--num_graphs=1"),
                *("--ablation=no_layers", "--num_neighbors=3"),
            ],
            "no_layers leaves no layer",
        ),
        (
            ["--attack=universal", "--perturbation=a", "--maker=gradient"],
            "maker",
        ),
        (
            ["--attack=universal", "--perturbation=a", "--train_size=3"],
            "train_size",
        ),
        (
            ["--attack=universal", "--perturbation=README.md"],
            "cannot read README.md",
        ),
    ]
    check_errors(MODULE, cases, usual=linear("run"))
    assert not (tmp_path / "run").exists()
