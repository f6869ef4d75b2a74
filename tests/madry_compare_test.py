"""Table 6 in one command, on a few images."""

import keras
import numpy as np
import pytest
from processes import check_errors, run

from madry_challenge import comparison

MODULE = "madry_challenge.compare"

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="adversarial training needs TensorFlow",
)


@pytest.fixture
def images_path(rng, tmp_path):
    """As many images as the largest batch has, and some more."""
    path = tmp_path / "images.npz"
    splits = {}
    for name, size in (("train", 140), ("test", 24)):
        splits[f"y_{name}"] = labels = np.arange(size) % 3
        images = rng.integers(0, 100, (size, 12, 12, 3))
        splits[f"x_{name}"] = images + 50 * labels[:, None, None, None]
    np.savez(path, **{name: a.astype(np.uint8) for name, a in splits.items()})
    return path


@pytest.mark.slow
def test_the_smoke_budget(images_path, tmp_path):
    flags = [
        "--budget=smoke",
        f"--dataset={images_path}",
        f"--output_dir={tmp_path / 'out'}",
        "--num_peers=8",
    ]
    process = run(*flags, module=MODULE)
    assert process.returncode == 0, process.stderr
    path = tmp_path / "out" / "record.json"
    record = comparison.read(str(path))
    assert record.budget == "smoke"
    assert [row["key"] for row in record.rows] == [
        "resnet32",
        "resnet32_a",
        "resnet32_b",
        "pr_resnet32",
        "pr_resnet32_exact",
        "pr_resnet32_surrogate",
    ]
    steps = comparison.BUDGETS["smoke"].steps
    for row in record.rows:
        own = steps[row["key"]]
        assert row["steps"][-1] == own
        assert row["training"]["settings"]["max_num_training_steps"] == own
        backwards = [case["backward"] for case in row["cases"]]
        is_peernet = row["network"] == "pr_resnet32"
        assert backwards == (["exact", "identity"] if is_peernet else ["exact"])
        assert all(case["total"] == 20 for case in row["cases"])
    assert record.rows[-1]["steps"] == [4, 4, 2]
    assert comparison.table(record) in process.stdout
    # Trained networks may be given; what was done before is not done again.
    given = [
        f"--checkpoint={row['key']}={row['checkpoint']}"
        for row in record.rows[:-1]
    ]
    logs = list((tmp_path / "out").glob("*/attack_*.jsonl"))
    sizes = [log.stat().st_size for log in logs]
    assert len(logs) == 9
    again = run(*flags, *given, module=MODULE)
    assert again.returncode == 0, again.stderr
    assert "Epoch" not in again.stdout
    assert list((tmp_path / "out").glob("*/attack_*.jsonl")) == logs
    assert [log.stat().st_size for log in logs] == sizes
    found = comparison.read(str(path))
    for row, other in zip(record.rows, found.rows, strict=True):
        assert row["weights_sha256"] == other["weights_sha256"]
        assert row["cases"] == other["cases"]
    for row in found.rows[:-1]:
        assert row["steps"] == [None]
        assert row["training"] is None
    last = found.rows[-1]
    assert last["steps"] == [None, 2]
    assert last["training"]["history"] == record.rows[-1]["training"]["history"]


def test_wrong_flags():
    check_errors(
        f"{MODULE}:compare",
        [
            (["--budget=day"], "budget"),
            (["--backward=exact"], "backward"),
            (
                ["--dataset=mnist5k", "--checkpoint=resnet18=x"],
                "write ROW=PATH",
            ),
            (["--dataset=mnist5k", "--checkpoint=resnet32"], "write ROW=PATH"),
            (
                ["--dataset=mnist5k", "--checkpoint=resnet32=x.keras"],
                "no file x.keras",
            ),
            (["--dataset=mnist5k", "--num_peers=5000"], "4000 training images"),
            (
                [
                    "--dataset=mnist5k",
                    "--checkpoint=pr_resnet32=cifar10_resnet32",
                ],
                "it holds resnet32, not pr_resnet32",
            ),
            (
                ["--dataset=mnist5k", "--checkpoint=resnet32=cifar10_resnet32"],
                "takes images of shape (32, 32, 3)",
            ),
            (["--num_steps=0"], "`steps`"),
        ],
    )
