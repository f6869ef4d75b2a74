"""The command that trains on adversarial images."""

import json

import keras
import pytest
from commands import check_errors, error_line, run_command

from peernets_tf import datasets, models, peers, records, training

MODULE = "madry_challenge.train"

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="adversarial training needs TensorFlow",
)


def test_flags_override_the_configuration(npz_path, tmp_path):
    given = tmp_path / "given.json"
    values = {
        "_comment": "===== TRAINING =====",
        "max_num_training_steps": 4,
        "num_checkpoint_steps": 2,
        "training_batch_size": 8,
        "step_size_schedule": [[0, 0.5], [2, 0.1]],
        "epsilon": 16.0,
        "num_steps": 3,
        "tf_random_seed": 451760341,
    }
    given.write_text(json.dumps(values))
    output_dir = tmp_path / "run"
    flags = [
        f"--config={given}",
        "--network=lenet5",
        f"--dataset={npz_path}",
        f"--output_dir={output_dir}",
        "--num_steps=0",
        "--step_size_schedule=0:0.01,3:0.001",
    ]
    result = run_command(MODULE, *flags)
    assert result.status == 0, result.stderr
    path = output_dir / "model.keras"
    assert f"Model: {path}" in result.stdout
    assert models.load(path).name == "lenet5"
    used = json.loads((output_dir / "config.json").read_text())
    assert used["epsilon"] == 16.0
    assert used["num_steps"] == 0
    assert used["step_size_schedule"] == [[0, 0.01], [3, 0.001]]
    assert used["tf_random_seed"] == 451760341
    run = json.loads((output_dir / "run.json").read_text())
    assert run["provenance"]["seed"] == 451760341
    # Without an attack its settings do not change what is learnt.
    assert "attack_mode" not in run["identity"]
    assert run["identity"]["max_num_training_steps"] == 4
    line = error_line(run_command(MODULE, *flags, "--seed=5"))
    assert "holds a run with tf_random_seed=451760341" in line


def test_the_record_of_an_adversarial_training(npz_path, tmp_path):
    output_dir = tmp_path / "run"
    flags = [
        "--network=pr_lenet5",
        f"--dataset={npz_path}",
        f"--output_dir={output_dir}",
        "--max_num_training_steps=3",
        "--num_checkpoint_steps=2",
        "--training_batch_size=8",
        "--step_size_schedule=0:0.01",
        "--num_steps=2",
        "--num_peers=6",
        "--num_graphs=2",
        "--validation_size=8",
    ]
    assert run_command(MODULE, *flags).status == 0
    record = records.read(str(output_dir / "record.json"))
    model = models.load(output_dir / "model.keras")
    assert record.weights_sha256 == models.weights_sha256(model)
    assert record.num_parameters == model.count_params()
    assert (record.graphs.num_peers, record.graphs.num_graphs) == (6, 2)
    assert record.attack.startswith("PGD(")
    assert f"epsilon={8 / 255}" in record.attack
    assert record.epochs == "3 steps"
    assert record.provenance.flags["backward"] == "exact"
    test = datasets.load(npz_path).test
    correct = training.count_correct(peers.monte_carlo(model), test, verbose=0)
    assert (record.correct, record.test_size) == (correct, len(test))
    # A finished training writes the same record again.
    assert run_command(MODULE, *flags).status == 0
    assert records.read(str(output_dir / "record.json")) == record
    # And its model can be published.
    published = tmp_path / "published"
    result = run_command(
        "peernets_tf.publish",
        f"--run_dir={output_dir}",
        f"--output_dir={published}",
        "--name=small",
        "--test_size=10",
    )
    assert result.status == 0, result.stderr
    card = (published / "small.md").read_text()
    assert "trained on images of `PGD(" in card
    assert "for 3 steps from random weights" in card


def test_wrong_flags():
    check_errors(
        MODULE,
        [
            (["--network=alexnet"], "network"),
            (["--step_size_schedule=0.1"], "Write them as in 0:0.1"),
            (["--step_size_schedule=5:0.1"], "ascending steps that begin"),
            (["--loss_func=mse"], "must be one of xent, cw"),
            (["--step_size=0"], "`step_size` must be"),
            (["--config=none.json"], "none.json"),
            (["surplus"], "not a flag: surplus"),
        ],
    )


def test_another_backend(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    line = error_line(run_command(MODULE))
    assert "needs KERAS_BACKEND=tensorflow" in line
