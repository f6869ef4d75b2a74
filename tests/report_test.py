import dataclasses

import pytest
from absl import flags
from absl.testing import flagsaver
from results_test import make_attack_result, make_result

from peernets_tf import report, results


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


def test_curves_go_on_from_the_initial_model(tmp_path):
    history = [{"epoch": 1, "val_accuracy": 0.5}]
    start = make_result(model="a", history=history)
    second = make_result(
        model="b", history=history, initial_model={"epochs": 1}
    )
    lines = report.curves([start, second]).splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    assert cells[2][1:4] == ["1", "50.0%", ""]
    assert cells[3][1:4] == ["2", "", "50.0%"]


def test_attacks_have_a_table_of_their_own(tmp_path, capsys):
    paths = [str(tmp_path / name) for name in ("train.json", "attack.json")]
    results.write_json(make_result(), paths[0])
    results.write_json(make_attack_result(), paths[1])
    report.report(["report", *paths])
    output = capsys.readouterr().out
    assert "98.20%" in output
    assert "| 83.3% / 13.0% |" in output


def test_a_file_that_is_no_record(tmp_path):
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="not a record"):
        report.report(["report", str(path)])
