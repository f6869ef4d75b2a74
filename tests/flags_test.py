"""Every flag file is one that its command takes, and says how to use it."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "flags").glob("*.flags"))

PARSE = """
import importlib, sys
from absl import flags
importlib.import_module(sys.argv[1])
for path in sys.argv[2:]:
    flags.FLAGS.unparse_flags()
    flags.FLAGS([sys.argv[1], f"--flagfile={path}"])
"""


def command_of(path):
    """The module that a flag file's header names."""
    usage = [
        line.removeprefix("# python -m ")
        for line in path.read_text().splitlines()
        if line.endswith(f" --flagfile=flags/{path.name}")
    ]
    assert len(usage) == 1, f"{path.name} lacks its command"
    return usage[0].split()[0]


@pytest.mark.parametrize(
    ("module", "at_least"),
    [
        ("peernets_tf.train", 11),
        ("peernets_tf.evaluate", 11),
        ("madry_challenge.compare", 1),
    ],
)
def test_commands_take_their_flag_files(module, at_least):
    paths = [str(path) for path in FILES if command_of(path) == module]
    assert len(paths) >= at_least
    process = subprocess.run(
        [sys.executable, "-c", PARSE, module, *paths],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr


def test_tables_attack_what_is_trained():
    outputs = {
        line.removeprefix("--output_dir=")
        for path in FILES
        for line in path.read_text().splitlines()
        if line.startswith("--output_dir=")
    }
    for path in FILES:
        for line in path.read_text().splitlines():
            if line.startswith("--checkpoint="):
                checkpoint = pathlib.Path(line.removeprefix("--checkpoint="))
                assert str(checkpoint.parent) in outputs
                header = path.read_text()
                assert f"flags/{checkpoint.parent.name}.flags" in header
