"""Our attacks of AutoAttack fool as many images as those of torchattacks.

Optional: pip install torch torchattacks.
"""

import importlib.util
import os
import subprocess
import sys

import pytest
from commands import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("torch") is None
        or importlib.util.find_spec("torchattacks") is None,
        reason="pip install torch torchattacks",
    ),
]


@pytest.mark.parametrize(("norm", "epsilon"), [("linf", 0.1), ("l2", 1.5)])
def test_robust_accuracies_agree(norm, epsilon):
    """The program fails if a difference is too large."""
    process = subprocess.run(
        [
            sys.executable,
            str(ROOT / "tests" / "torchattacks_parity.py"),
            "--checkpoint=mnist_lenet5",
            "--dataset=mnist5k",
            "--images=200",
            "--steps=20",
            "--queries=200",
            f"--norm={norm}",
            f"--epsilon={epsilon}",
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "worst case" in process.stdout
