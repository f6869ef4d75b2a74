"""Table 6 in one command, with small networks in place of the real ones."""

import dataclasses

import keras
import numpy as np
import pytest
from commands import check_errors, run_command

from madry_challenge import table6
from peernets_tf import records

MODULE = "madry_challenge.compare"

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="adversarial training needs TensorFlow",
)


@pytest.fixture
def images_path(rng, tmp_path):
    """A few more images than the largest batch has."""
    path = tmp_path / "images.npz"
    splits = {}
    for name, size in (("train", 140), ("test", 24)):
        splits[f"y_{name}"] = labels = np.arange(size) % 3
        images = rng.integers(0, 100, (size, 12, 12, 3))
        splits[f"x_{name}"] = images + 50 * labels[:, None, None, None]
    np.savez(path, **{name: a.astype(np.uint8) for name, a in splits.items()})
    return path


@pytest.fixture
def small_rows(monkeypatch):
    """Replaces ResNet-32 by LeNet-5 in all rows."""
    real = table6.rows

    def rows(*arguments):
        return [
            dataclasses.replace(
                row, network=row.network.replace("resnet32", "lenet5")
            )
            for row in real(*arguments)
        ]

    monkeypatch.setattr(table6, "rows", rows)


@pytest.mark.slow
def test_the_smoke_budget(images_path, small_rows, tmp_path):
    flags = [
        "--budget=smoke",
        f"--dataset={images_path}",
        f"--output_dir={tmp_path / 'out'}",
        "--num_peers=8",
    ]
    result = run_command(MODULE, *flags)
    assert result.status == 0, result.stderr
    path = str(tmp_path / "out" / "record.json")
    record = records.read(path)
    assert record.budget == "smoke"
    assert tuple(row.key for row in record.rows) == table6.KEYS
    steps = table6.BUDGETS["smoke"].steps
    for row in record.rows:
        own = steps[row.key]
        assert row.steps[-1] == own
        assert row.training.settings["max_num_training_steps"] == own
        assert row.training.provenance.seconds is not None
        backwards = [case.backward for case in row.cases]
        if row.network == "pr_lenet5":
            assert backwards == ["exact", "identity"]
            assert row.threat_model.defended.num_peers == 8
            assert row.threat_model.defended.seed == (3, 0)
        else:
            assert backwards == ["exact"]
            assert row.threat_model is None
        assert all(case.case.total == 20 for case in row.cases)
    assert record.rows[-1].steps == (4, 4, 2)
    table = records.tables.comparison_table(record)
    assert table.markdown() in result.stdout
    # The same command, with trained networks given, does no work again.
    given = [
        f"--checkpoint={row.key}={row.checkpoint}" for row in record.rows[:-1]
    ]
    logs = list((tmp_path / "out").glob("*/*/batches.jsonl"))
    sizes = [log.stat().st_size for log in logs]
    assert len(logs) == 9
    again = run_command(MODULE, *flags, *given)
    assert again.status == 0, again.stderr
    assert "Epoch" not in again.stdout
    assert list((tmp_path / "out").glob("*/*/batches.jsonl")) == logs
    assert [log.stat().st_size for log in logs] == sizes
    found = records.read(path)
    for row, other in zip(record.rows, found.rows, strict=True):
        assert row.weights_sha256 == other.weights_sha256
        assert [c.case for c in row.cases] == [c.case for c in other.cases]
    for row in found.rows[:-1]:
        assert row.steps == (None,)
        assert row.training is None
    last = found.rows[-1]
    assert last.steps == (None, 2)
    assert last.training.history == record.rows[-1].training.history


def test_wrong_flags():
    check_errors(
        MODULE,
        [
            (["--budget=day"], "budget"),
            (["--backward=exact"], "backward"),
            (["--checkpoint=resnet18=x"], "must be ROW=PATH"),
            (
                ["--checkpoint=resnet32=x.keras"],
                "--checkpoint=resnet32=PATH must be a .keras file",
            ),
            (["--num_peers=5000"], "at most 4000"),
            (
                ["--checkpoint=pr_resnet32=cifar10_resnet32"],
                "must hold pr_resnet32. Received: cifar10_resnet32",
            ),
            (
                ["--checkpoint=resnet32=cifar10_resnet32"],
                "images of shape (32, 32, 3)",
            ),
            (["--num_steps=0"], "`steps`"),
            (["surplus"], "not a flag: surplus"),
        ],
        usual=["--dataset=mnist5k"],
    )
