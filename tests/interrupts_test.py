"""Ctrl-C at an early moment of a command ends it with one line."""

import os
import signal
import subprocess
import sys

import pytest
from commands import ROOT

from peernets_tf import interrupts

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="sends SIGINT to a process"
)
# Modules in the order of their import by a command. Before the first one,
# Python itself starts and nobody can answer.
MOMENTS = [
    "peernets_tf",
    "absl.flags",
    "numpy",
    "peernets_tf.models",
    "peernets_tf.training",
    "peernets_tf.cli.app",
]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_process_that_has_just_imported(moment, tmp_path):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "peernets_tf.train"),
            # A short one, should it miss the signal.
            *("--model=lenet5", "--epochs=1", f"--output_dir={tmp_path}"),
        ],
        cwd=ROOT,
        # Python writes a line about each module, once it is imported.
        env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A background process of a shell ignores the signal, and so would its
        # children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    lines = []
    for line in process.stderr:
        if "import time:" not in line:
            lines.append(line)
        elif line.rsplit("|", 1)[1].strip() == moment:
            process.send_signal(signal.SIGINT)
    assert process.wait() == interrupts.STATUS
    assert "".join(lines).strip() == interrupts.MESSAGE


def test_the_usual_behaviour_comes_back():
    usual = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        interrupts.end_quietly()
        assert signal.getsignal(signal.SIGINT) != signal.default_int_handler
        interrupts.raise_again()
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
        # A shell starts background jobs like this.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupts.end_quietly()
        interrupts.raise_again()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, usual)
