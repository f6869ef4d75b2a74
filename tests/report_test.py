import dataclasses

import pytest
from absl import flags
from absl.testing import flagsaver
from results_test import make_result

from peernets_tf import paper, report, results


@pytest.fixture(autouse=True)
def parsed_flags():
    flags.FLAGS.mark_as_parsed()


def test_ours_stands_beside_the_papers(tmp_path, capsys):
    paths = []
    for model, correct in (("lenet5", 190), ("pr_lenet5", 183)):
        peers = 50 if model == "pr_lenet5" else 0
        record = dataclasses.replace(
            make_result(), model=model, correct=correct, num_peers=peers
        )
        paths.append(str(tmp_path / f"{model}.json"))
        results.write_json(record, paths[-1])
    report.report(["report", *paths])
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert cells[2][1:8] == [
        *("lenet5", "mnist", "1", "-", "200", "95.00%", "98.60%")
    ]
    assert cells[3][4:8] == ["50 x 10", "200", "91.50%", "98.20%"]


def test_curves(tmp_path, capsys):
    paths = []
    for name, accuracies in (("a", [0.5, 0.75]), ("b", [0.25])):
        history = [{"epoch": 1, "val_accuracy": a} for a in accuracies]
        paths.append(str(tmp_path / f"{name}.json"))
        results.write_json(make_result(model=name, history=history), paths[-1])
    with flagsaver.flagsaver(curves=True):
        report.report(["report", *paths])
    output = capsys.readouterr().out
    assert "| 1     | 50.0%    | 25.0%    |" in output
    assert "| 2     | 75.0%    |          |" in output


def test_accuracies_are_fractions():
    assert all(0.6 < value < 1 for value in paper.ACCURACY.values())
