"""Table 6 in one command, with small networks in place of the real ones."""

import dataclasses

import keras
import numpy as np
import pytest
from commands import check_errors, run_command

from madry_challenge import comparison, table6
from peernets_tf import devices, records

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
    assert tuple(row.key for row in record.rows) == table6.TRAINED
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
    attacking = sum(
        case.provenance.seconds for row in record.rows for case in row.cases
    )
    training = sum(row.training.provenance.seconds for row in record.rows)
    assert record.provenance.seconds == pytest.approx(
        attacking + training, abs=0.1
    )
    table = records.comparison_table.comparison_table(record)
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
    assert found.provenance.seconds == pytest.approx(
        attacking + last.training.provenance.seconds, abs=0.1
    )
    assert last.steps == (None, 2)
    assert last.training.history == record.rows[-1].training.history


@pytest.mark.slow
def test_the_published_models_are_attacked(rng, tmp_path):
    """With one known graph, and with ten; one more is given."""
    path = tmp_path / "images.npz"
    labels = np.arange(10)
    images = rng.integers(0, 255, (10, 32, 32, 3)).astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    flags = [
        f"--dataset={path}",
        f"--output_dir={tmp_path / 'out'}",
        "--num_peers=2",
        "--num_steps=1",
        "--checkpoint=resnet32_a=cifar10_resnet32_adversarial",
    ]
    result = run_command(MODULE, "--budget=day", *flags)
    assert result.status == 0, result.stderr
    assert "Attacking the published models. --budget=hour" in result.stdout
    record = records.read(str(tmp_path / "out" / "record.json"))
    assert record.budget == "day"
    networks, peernets = record.rows[:3], record.rows[3:]
    assert [(row.checkpoint, row.trained_on) for row in networks] == [
        ("cifar10_resnet32_long", "images"),
        # Its record knows better than the row, which is for PGD.
        ("cifar10_resnet32_adversarial", "FGSM"),
        ("cifar10_resnet32_adversarial_long", "FGSM"),
    ]
    assert all(row.threat_model is None for row in networks)
    assert [(row.checkpoint, row.trained_on) for row in peernets] == 2 * [
        ("cifar10_pr_resnet32_long", "images")
    ] + 2 * [("cifar10_pr_resnet32_adversarial", "FGSM, identity")]
    for row, num_graphs in zip(peernets, (1, 10, 1, 10), strict=True):
        assert row.threat_model.policy == "known"
        assert row.threat_model.defended.num_graphs == num_graphs
        assert row.threat_model.defended.num_peers == 2
        assert [case.backward for case in row.cases] == ["exact", "identity"]
        assert result.stdout.count(f"| 2 x {num_graphs} ") == 4
    assert all(row.training is None for row in record.rows)


def test_train_or_a_gpu_trains(monkeypatch):
    configs = []
    monkeypatch.setattr(
        comparison, "compare", lambda config, _: configs.append(config)
    )
    for has_gpu, flags, budget, checkpoints in (
        (False, [], "minutes", table6.PUBLISHED),
        (False, ["--train"], "hour", {}),
        (False, ["--train", "--budget=smoke"], "smoke", {}),
        (True, [], "full", {}),
        (True, ["--train"], "full", {}),
        (True, ["--dataset=cifar100"], "minutes", table6.PUBLISHED),
        (True, ["--budget=minutes"], "minutes", table6.PUBLISHED),
    ):
        monkeypatch.setattr(devices, "has_gpu", lambda has=has_gpu: has)
        result = run_command(MODULE, *flags)
        assert result.status == 0, result.stderr
        config = configs.pop()
        assert config.budget == budget
        assert config.checkpoints == checkpoints
        trained = table6.TRAINED if not checkpoints else tuple(checkpoints)
        assert tuple(row.key for row in config.rows) == trained


def test_a_given_model_joins_the_published_ones(monkeypatch):
    configs = []
    monkeypatch.setattr(
        comparison, "compare", lambda config, _: configs.append(config)
    )
    given = "resnet32_a=cifar10_resnet32_adversarial"
    result = run_command(MODULE, "--budget=day", f"--checkpoint={given}")
    assert result.status == 0, result.stderr
    (config,) = configs
    keys = tuple(row.key for row in config.rows)
    assert keys == (
        "resnet32",
        "resnet32_a",
        "resnet32_fgsm",
        "pr_resnet32",
        "pr_resnet32_fgsm",
    )
    name = config.checkpoints["resnet32_a"]
    assert name == "cifar10_resnet32_adversarial"


def test_a_row_is_for_networks_trained_on_adversarial_images_or_not(
    rng, tmp_path
):
    path = tmp_path / "images.npz"
    labels = np.arange(10)
    images = rng.integers(0, 255, (10, 32, 32, 3)).astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    natural, adversarial = "cifar10_resnet32", "cifar10_resnet32_adversarial"
    check_errors(
        MODULE,
        [
            (
                [f"--checkpoint=resnet32={adversarial}"],
                f"trained on images. Received: {adversarial}, which was "
                "trained on PGD(",
            ),
            (
                [f"--checkpoint=resnet32_fgsm={natural}"],
                f"trained on adversarial images. Received: {natural}, which "
                "was trained on images",
            ),
        ],
        usual=[f"--dataset={path}", "--num_peers=2"],
    )


def test_wrong_flags():
    check_errors(
        MODULE,
        [
            (["--budget=month"], "budget"),
            (["--budget=day", "--train"], "leave out --train"),
            (["--backward=exact"], "backward"),
            (["--checkpoint=resnet18=x"], "must be ROW=PATH"),
            (
                ["--train", "--checkpoint=resnet32_fgsm=cifar10_resnet32"],
                "needs --budget=minutes",
            ),
            (
                ["--checkpoint=resnet32=x.keras"],
                "--checkpoint=resnet32=PATH must be a .keras file",
            ),
            (["--num_peers=5000"], "at most 4000"),
            (
                ["--train", "--checkpoint=pr_resnet32=cifar10_resnet32"],
                "must hold pr_resnet32. Received: cifar10_resnet32",
            ),
            (
                ["--checkpoint=resnet32=cifar10_resnet32"],
                "images of shape (32, 32, 3)",
            ),
            (["--num_steps=0"], "num_steps must be at least 1"),
            (["surplus"], "not a flag: surplus"),
        ],
        usual=["--dataset=mnist5k"],
    )
