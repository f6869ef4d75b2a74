"""One process at a time writes to a folder, and a kill releases it."""

import os
import subprocess
import sys

import pytest

from peernets_tf import files, records
from peernets_tf.errors import UserError


def test_a_second_run_is_refused(tmp_path):
    folder = str(tmp_path / "run")
    with (
        records.lock_folder(folder),
        pytest.raises(UserError, match=f"process {os.getpid()} on"),
        records.lock_folder(folder),
    ):
        pass
    with records.lock_folder(folder):
        pass


def test_a_kill_releases_the_lock_and_leftovers_go(tmp_path):
    code = (
        "import os, sys; from peernets_tf import records\n"
        "from peernets_tf import files\n"
        f"with records.lock_folder({str(tmp_path)!r}):\n"
        f"    with files.atomic_file({str(tmp_path / 'a.txt')!r}):\n"
        "        print('held', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    with (
        pytest.raises(UserError, match=f"process {process.pid} on"),
        records.lock_folder(str(tmp_path)),
    ):
        pass
    assert len(list(tmp_path.glob(".writing.*"))) == 1
    process.kill()
    process.communicate()
    with records.lock_folder(str(tmp_path)):
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_temporary_files_have_names_of_their_own(tmp_path):
    path = str(tmp_path / "a.txt")
    with files.atomic_file(path) as first, files.atomic_file(path) as second:
        assert first != second
