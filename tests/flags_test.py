"""Flag files: each is one that its command takes, and its header is true."""

import pathlib
import re
import sys

import pytest
from commands import flags_of
from sample_records import make_training

from peernets_tf import models, records
from peernets_tf.cli import app
from peernets_tf.records import paper

ROOT = pathlib.Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "flags").glob("*.flags"))
COMMANDS = (
    "peernets_tf.train",
    "peernets_tf.defend",
    "peernets_tf.evaluate",
    "madry_challenge.compare",
)
# The table of universal perturbations and our rows of it, in their order.
ROWS = {
    "mnist": (3, (1, 2)),
    "cifar10": (4, (1, 2, 3, 4, 5, 6, 7, 8, 9)),
    "cifar100": (5, (1, 2, 3)),
}


def header_of(text):
    return "\n".join(line for line in text.splitlines() if line[:1] == "#")


def flags_in(text):
    """Returns the flags of a file, by name."""
    lines = [line for line in text.splitlines() if line.startswith("--")]
    parts = [line[2:].partition("=") for line in lines]
    return {name: value for name, _, value in parts}


def command_of(path):
    """Returns the module that a flag file's header names."""
    usage = [
        line.removeprefix("# python -m ")
        for line in header_of(path.read_text()).splitlines()
        if line.endswith(f" --flagfile=flags/{path.name}")
        and not line.startswith("# First: ")
    ]
    assert len(usage) == 1, f"{path.name} lacks its command"
    return usage[0].split()[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_command_takes_the_file(path, tmp_path, monkeypatch):
    module = command_of(path)
    assert module in COMMANDS
    monkeypatch.chdir(tmp_path)
    own = flags_in(path.read_text())
    for name in {"checkpoint", "initial_model"} & own.keys():
        if own[name] in models.preset_names():
            continue
        # Another flag file trains it.
        model = tmp_path / own[name]
        model.parent.mkdir(parents=True)
        model.touch()
        records.write(make_training(), str(model.with_name("record.json")))
    if "perturbation" in own:
        # Another evaluation makes it.
        perturbation = tmp_path / own["perturbation"]
        perturbation.parent.mkdir(parents=True)
        perturbation.touch()
    arguments = [f"--flagfile={path}"]
    if module == "peernets_tf.evaluate" and "checkpoint" not in own:
        arguments.append("--checkpoint=mnist_lenet5")
    with flags_of(module):
        rest = app.parse_flags([module, *arguments])
        sys.modules[module].COMMAND.parse(rest[1:])


def test_tables_attack_what_is_trained():
    outputs = {flags_in(p.read_text()).get("output_dir") for p in FILES}
    for path in FILES:
        checkpoint = flags_in(path.read_text()).get("checkpoint")
        if checkpoint and checkpoint not in models.preset_names():
            folder = pathlib.Path(checkpoint).parent
            assert str(folder) in outputs
            assert f"flags/{folder.name}.flags" in path.read_text()


def training_flags(flags):
    """Returns the flags of the training whose model a file attacks."""
    folder = pathlib.Path(flags["checkpoint"]).parent.name
    return flags_in((ROOT / "flags" / f"{folder}.flags").read_text())


def expected_figures(flags):
    """Returns the paper's figures, in percent, that a header must hold."""
    if flags.get("budget"):
        figures = [
            x for row in paper.ADVERSARIAL_TRAINING.values() for x in row
        ]
    elif "suite" in flags:
        model = training_flags(flags)["model"]
        figures = [
            rate
            for key, rates in paper.QUERIES.items()
            for rate in rates
            if key[0] == model
        ]
    elif "rho" in flags:
        row = universal_row(flags)[1]
        assert [float(rho) for rho in flags["rho"].split(",")] == list(row)
        accuracies, rates = zip(*row.values(), strict=True)
        figures = [*accuracies, *rates]
    elif "perturbation" in flags:
        row = paper.UNIVERSAL["cifar10", "magnet_resnet32", 0, 0]
        accuracies, rates = zip(*row.values(), strict=True)
        figures = [*accuracies, *rates]
    elif "epochs" in flags or "attack" in flags:
        # A schedule or an attack of our own: the paper has no figure for it.
        figures = []
    else:
        figures = [paper.ACCURACY[flags["dataset"], flags["model"]]]
    return [round(100 * figure, 2) for figure in figures]


def universal_row(flags):
    """Returns the place of a row in the paper, `(table, row)`, and the row."""
    training = training_flags(flags)
    name = (training["dataset"], training["model"])
    size = (int(flags.get("num_peers", 0)), int(flags.get("num_graphs", 0)))
    key = (*name, *size)
    if key not in paper.UNIVERSAL:
        # Table 3 does not name the graphs; Section 4.1 says which.
        assert size == (50, 10)
        key = (*name, None, None)
    table, rows = ROWS[training["dataset"]]
    keys = [key for key in paper.UNIVERSAL if key[0] == training["dataset"]]
    return (table, rows[keys.index(key)]), paper.UNIVERSAL[key]


def has_true_figures(text):
    """Returns whether a file's header holds the paper's figures, no others."""
    found = re.findall(r"\d+\.\d+", header_of(text))
    return list(map(float, found)) == expected_figures(flags_in(text))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_expected_figures_are_the_papers(path):
    assert has_true_figures(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_any_false_figure_would_be_seen(path):
    text = path.read_text()
    figures = list(re.finditer(r"\d+\.\d+", header_of(text)))
    assert bool(figures) == ("Expected" in text)
    for match in figures:
        last = (int(match[0][-1]) + 1) % 10
        false = match[0][:-1] + str(last)
        header = header_of(text)
        planted = header[: match.start()] + false + header[match.end() :]
        assert not has_true_figures(text.replace(header, planted))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_headers_name_the_row_and_the_graphs(path):
    header, flags = header_of(path.read_text()), flags_in(path.read_text())
    if "suite" in flags:
        assert "Table 7:" in header
    elif "rho" in flags:
        (table, row), _ = universal_row(flags)
        assert f"Table {table}, row {row}:" in header
    for num_peers, num_graphs in re.findall(r"N = (\d+), M = (\d+)", header):
        assert num_peers == flags.get("num_peers", "50")
        assert num_graphs == flags.get("num_graphs", "10")
