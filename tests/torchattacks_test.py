"""Our attacks of AutoAttack fool as many images as those of torchattacks."""

import importlib.util
import subprocess
import sys

import pytest
from commands import ROOT

from peernets_tf import records

# The largest differences of robust accuracy, in percentage points.
LARGEST_DIFFERENCE = 1.5
LARGEST_DIFFERENCE_OF_WORST_CASES = 0.6


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None
    or importlib.util.find_spec("torchattacks") is None,
    reason="pip install torch torchattacks",
)
@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 1.5)])
def test_robust_accuracies_agree(norm, epsilon, tmp_path):
    process = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.autoattack"),
            "--checkpoint=mnist_lenet5",
            "--dataset=mnist5k",
            "--images=200",
            "--steps=20",
            "--queries=200",
            f"--norm={norm}",
            f"--epsilon={epsilon}",
            f"--output_dir={tmp_path}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    record = records.read(
        str(tmp_path / "benchmark_autoattack_mnist_lenet5.json")
    )
    check_parity(record)


PUBLISHED = sorted((ROOT / "results").glob("benchmark_autoattack_*.json"))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_robust_accuracies_of_published_networks_agree(path):
    check_parity(records.read(str(path)))


def check_parity(record):
    """Both sides must leave about as many images as each other."""
    for case in record.cases:
        ours, theirs = case["correct"].values()
        difference = 100 * abs(ours - theirs) / case["images"]
        limit = LARGEST_DIFFERENCE
        if case["attack"] == "worst case":
            limit = LARGEST_DIFFERENCE_OF_WORST_CASES
        assert difference <= limit, case
