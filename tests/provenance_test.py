"""Provenance says where a run comes from."""

import json
import re
import subprocess

import numpy as np
import pytest
from sample_records import make_provenance

from peernets_tf import records
from peernets_tf.records import provenance


@pytest.fixture(scope="module")
def captured():
    return records.capture("python -m peernets_tf.train", {"epochs": 5}, 7)


def test_what_the_command_says_is_kept(captured):
    assert captured.command == "python -m peernets_tf.train"
    assert captured.flags == {"epochs": 5}
    assert captured.seed == 7
    assert captured.seconds is None


def test_versions_are_those_of_the_installed_packages(captured):
    assert captured.versions["numpy"] == np.__version__
    assert {"python", "keras", "numpy"} <= set(captured.versions)
    assert json.loads(json.dumps(captured.versions)) == captured.versions


def test_the_device_names_processor_and_backend(captured):
    assert re.search(r".+, \d+ cores, .+, \w+ backend$", captured.device)


@pytest.mark.parametrize(
    "flags, expected",
    [
        ("fpu avx avx2 avx512f avx512_bf16", "EPYC with avx512_bf16, "),
        ("fpu avx avx2", "EPYC with avx2, "),
        ("fpu", "EPYC, "),
    ],
)
def test_the_device_names_vector_instructions(
    monkeypatch, tmp_path, flags, expected
):
    path = tmp_path / "cpuinfo"
    processor = f"model name\t: EPYC\nflags\t\t: {flags}\n\n"
    path.write_text(2 * processor)
    monkeypatch.setattr(provenance, "CPU_INFO", path)
    assert records.capture("", {}, 0).device.startswith(expected)


def test_the_device_needs_no_file_of_linux(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "CPU_INFO", tmp_path / "missing")
    assert re.search(r"\w+, \d+ cores, ", records.capture("", {}, 0).device)


def test_seconds_are_rounded():
    found = records.with_seconds(make_provenance(), 12.345)
    assert found == make_provenance(seconds=12.3)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)

    git("init", "-q")
    git("config", "user.email", "test@example.com")
    git("config", "user.name", "Test")
    (tmp_path / "results").mkdir()
    for name in ("code.py", "results/record.json"):
        (tmp_path / name).write_text("1")
    git("add", ".")
    git("commit", "-q", "-m", "First")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    return tmp_path


def commit():
    return records.capture("", {}, 0).commit


def test_a_plus_marks_local_changes(repository):
    clean = commit()
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (repository / "code.py").write_text("2")
    assert commit() == f"{clean}+"


def test_changed_results_do_not_count(repository):
    (repository / "results" / "record.json").write_text("2")
    assert not commit().endswith("+")


def test_the_commit_is_unknown_without_git(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert commit() == "unknown"
