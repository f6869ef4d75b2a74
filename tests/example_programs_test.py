"""The programs of examples/ run, and what they print is true."""

import ast
import runpy

import numpy as np
import pytest
from commands import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A function that runs an example in a folder and returns its names."""
    monkeypatch.chdir(tmp_path)
    return lambda name: runpy.run_path(str(ROOT / "examples" / name))


def test_own_model(run):
    names = run("own_model.py")
    assert names["accuracy"] > 0.9
    assert names["difference"] == 0
    assert names["path"].is_file()


def test_attack_own_model(run, capsys):
    names = run("attack_own_model.py")
    clean, attacked = names["correct"].values()
    assert clean > 0.9 * len(names["test"])
    assert attacked < 0.75 * clean
    change = names["adversarial"] - names["test"].images
    assert np.abs(change).max() <= names["attack"].epsilon + 1e-6
    assert capsys.readouterr().out.count("95 % interval") == 2


def test_neighbors(run):
    names = run("neighbors.py")
    assert names["agreement"] > 0.999


def test_magnet(run):
    names = run("magnet.py")
    assert names["accuracy"] > 0.9
    assert names["rejected"]["digits"] < 0.05
    assert names["rejected"]["negatives of digits"] > 0.95


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_has_a_title(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    title = ast.get_docstring(ast.parse(text)).splitlines()[0]
    assert len(title) < 60 and title.endswith(".")
