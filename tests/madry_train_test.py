"""The command that trains on adversarial images."""

import json

import keras
import pytest
from processes import check_errors, error_line, run

from peernets_tf import models

MODULE = "madry_challenge.train"

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="adversarial training needs TensorFlow",
)


def test_flags_stand_above_the_configuration(npz_path, tmp_path):
    given = tmp_path / "given.json"
    values = {
        "_comment": "===== TRAINING =====",
        "max_num_training_steps": 4,
        "num_checkpoint_steps": 2,
        "training_batch_size": 8,
        "step_size_schedule": [[0, 0.5], [2, 0.1]],
        "epsilon": 16.0,
        "num_steps": 3,
        "random_seed": 451760341,
    }
    given.write_text(json.dumps(values))
    output_dir = tmp_path / "run"
    process = run(
        f"--config={given}",
        "--network=lenet5",
        f"--dataset={npz_path}",
        f"--output_dir={output_dir}",
        "--noaugment",
        "--num_steps=0",
        "--step_size_schedule=0:0.01,3:0.001",
        "--seed=5",
        module=MODULE,
    )
    assert process.returncode == 0, process.stderr
    path = output_dir / "model.keras"
    assert f"Model: {path}" in process.stdout
    assert models.load(str(path)).name == "lenet5"
    used = json.loads((output_dir / "config.json").read_text())
    assert used["epsilon"] == 16.0
    assert used["num_steps"] == 0
    assert used["step_size_schedule"] == [[0, 0.01], [3, 0.001]]
    assert used["tf_random_seed"] == 5
    identity = json.loads((output_dir / "run.json").read_text())["run"]
    # Without an attack it has no part in what is learnt.
    assert "attack_mode" not in identity
    assert identity["max_num_training_steps"] == 4


def test_wrong_flags():
    check_errors(
        f"{MODULE}:train",
        [
            (["--network=alexnet"], "network"),
            (["--step_size_schedule=0.1"], "write steps and rates as in"),
            (["--step_size_schedule=5:0.1"], "ascending steps from 0"),
            (["--loss_func=mse"], "must be one of xent, cw"),
            (["--config=none.json"], "none.json"),
            (["surplus"], "not a flag: surplus"),
        ],
    )


def test_another_backend(npz_path, tmp_path):
    pytest.importorskip("jax")
    process = run(
        "--network=lenet5",
        f"--dataset={npz_path}",
        f"--output_dir={tmp_path}",
        module=MODULE,
        KERAS_BACKEND="jax",
    )
    assert process.returncode == 1
    assert "needs KERAS_BACKEND=tensorflow" in error_line(process)
