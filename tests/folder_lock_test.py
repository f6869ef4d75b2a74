"""One process, or shards, write to a folder, and a kill releases it."""

import os
import subprocess
import sys

import pytest

from peernets_tf import files, records
from peernets_tf.errors import UserError
from peernets_tf.records import folder_lock


def start(code):
    """Starts Python code that prints when it holds its lock."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


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
    process = start(code)
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


def test_shards_share_a_folder(tmp_path):
    folder = str(tmp_path)

    def refused(shard, holder):
        with (
            pytest.raises(UserError, match=f"is in use by {holder}"),
            records.lock_folder(folder, shard),
        ):
            pass

    this = f"process {os.getpid()} on"
    with records.lock_folder(folder, "1-of-2"):
        with (
            files.atomic_file(str(tmp_path / "a.txt")) as temporary,
            records.lock_folder(folder, "2-of-2"),
        ):
            # What one shard writes is safe from the others.
            assert os.path.exists(temporary)
            refused("1-of-2", this)
            refused("2-of-2", this)
            refused(None, "a shard of the same run")
        with records.lock_folder(folder, "2-of-2"):
            pass
        refused(None, "a shard of the same run")
    with records.lock_folder(folder):
        refused("1-of-2", this)


def test_shards_take_turns(tmp_path, monkeypatch, capsys):
    """A kill ends the turn of one shard, and then the next one goes on."""
    process = start(
        "import sys; from peernets_tf import records\n"
        f"with records.take_turn({str(tmp_path)!r}):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    assert process.stdout.readline() == "held\n"
    wait = folder_lock._wait_for_lock

    def kill_and_wait(descriptor):
        assert process.poll() is None
        process.kill()
        process.communicate()
        wait(descriptor)

    monkeypatch.setattr(folder_lock, "_wait_for_lock", kill_and_wait)
    with records.take_turn(str(tmp_path)):
        this = (tmp_path / "turn").read_text()
    assert this.startswith(f"process {os.getpid()} on ")
    assert f"Waiting for process {process.pid} on" in capsys.readouterr().out
    with records.take_turn(str(tmp_path)):
        pass
    assert capsys.readouterr().out == ""


def test_temporary_files_have_names_of_their_own(tmp_path):
    path = str(tmp_path / "a.txt")
    with files.atomic_file(path) as first, files.atomic_file(path) as second:
        assert first != second
