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
    # The same command finds all done; a trained network may be given.
    given = tmp_path / "out" / "resnet32_a" / "model.keras"
    again = run(*flags, f"--checkpoint=resnet32_a={given}", module=MODULE)
    assert again.returncode == 0, again.stderr
    found = comparison.read(str(path))
    assert found.rows[1]["checkpoint"] == str(given)
    assert found.rows[1]["steps"] == [None]
    for row, other in zip(record.rows, found.rows, strict=True):
        assert row["weights_sha256"] == other["weights_sha256"]
        assert row["cases"] == other["cases"]


def test_wrong_flags():
    check_errors(
        f"{MODULE}:compare",
        [
            (["--budget=day"], "budget"),
            (["--backward=exact"], "backward"),
            (["--checkpoint=resnet18=x.keras"], "write ROW=PATH"),
            (["--checkpoint=resnet32"], "write ROW=PATH"),
            (["--checkpoint=resnet32=none.keras"], "there is no none.keras"),
            (["--num_steps=0"], "`steps`"),
        ],
    )
