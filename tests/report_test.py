"""The report prints every record that there is."""

import json
import pathlib

import pytest
from commands import check_errors, error_line, run_command, run_process
from sample_records import make_attack, one_of_each_kind

from peernets_tf import records
from peernets_tf.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture
def paths(tmp_path):
    """Records of all kinds, each in the folder of a run."""
    found = []
    for i, record in enumerate(one_of_each_kind()):
        (tmp_path / str(i)).mkdir()
        found.append(str(tmp_path / str(i) / "record.json"))
        records.write(record, found[-1])
    return found


def table_rows(text):
    """Returns the cells of each row of all tables, heads included."""
    return [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def test_every_kind_has_a_table(paths):
    text = records.report(paths)
    heads = [cells[:2] for cells in table_rows(text)]
    for columns in (
        records.training_tables.TRAINING_COLUMNS,
        records.attack_tables.ATTACK_COLUMNS,
        records.suite_tables.SUITE_COLUMNS,
        records.suite_tables.CHECK_COLUMNS,
        records.comparison_table.COMPARISON_COLUMNS,
        ("timed", "median seconds"),
        records.trials_tables.TRIALS_COLUMNS,
    ):
        assert list(columns[:2]) in heads
    assert text.count("98.50%") == 2
    assert "98.20%" in text
    assert "| 83.3% / 13.0% |" in text
    assert "| 77.4% / 64.8% |" in text
    assert "Benchmark attacks: attack=PGD-40" in text


def test_every_file_is_named_with_its_model(paths):
    model = pathlib.Path(paths[0]).parent / "model.keras"
    model.touch()
    lines = records.report(paths).splitlines()
    assert lines[-len(paths) :] == [
        f"Record {paths[0]}, model {model}",
        *(f"Record {path}" for path in paths[1:]),
    ]


def test_curves_are_printed_on_demand(paths):
    assert "75.0%" not in records.report(paths[:1])
    assert "75.0%" in records.report(paths[:1], curves=True)


def test_every_published_record_is_printed():
    paths = sorted((ROOT / "results").glob("*.json"))
    text = records.report(list(map(str, paths)), curves=True)
    rows = table_rows(text)
    for path in paths:
        record = records.read(str(path))
        expected = []
        if isinstance(record, records.TrainingRecord):
            expected = [records.training_tables.training_row(record)]
        elif isinstance(record, records.AttackRecord):
            for table in records.attack_tables.attack_tables([record]):
                expected += table.rows
        elif isinstance(record, records.SuiteRecord):
            for table in records.suite_tables.suite_tables(record):
                expected += table.rows
        elif isinstance(record, records.ComparisonRecord):
            expected = records.comparison_table.comparison_table(record).rows
        elif isinstance(record, records.TrialsRecord):
            for table in records.trials_tables.trials_tables(record):
                expected += table.rows
        else:
            assert f"Benchmark {record.name}:" in text
        for row in expected:
            assert list(row) in rows
        assert f"Record {path}" in text


def test_a_file_that_is_not_a_record(tmp_path):
    path = tmp_path / "other.json"
    path.write_text("{}")
    with pytest.raises(UserError, match="not a valid record"):
        records.report([str(path)])


def test_command(paths):
    result = run_command("peernets_tf.report", *paths, "--curves")
    assert result.status == 0
    assert result.stdout == records.report(paths, curves=True) + "\n"


def test_a_hostile_field_is_shown_on_one_visible_line(tmp_path):
    path = tmp_path / "record.json"
    records.write(make_attack(), str(path))
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "\x1b]0;owned\x07": 1}))
    line = error_line(run_command("peernets_tf.report", path))
    assert line.isprintable()
    assert r"\x1b]0;owned\x07 is not a field" in line


def test_command_refuses_what_it_cannot_read(tmp_path):
    path = tmp_path / "record.json"
    records.write(make_attack(), str(path))
    path.write_text(path.read_text().replace('"total": 200', '"total": -1'))
    check_errors(
        "peernets_tf.report",
        [
            ([], "expected the paths of records. Received: none."),
            ([tmp_path / "none.json"], "none.json"),
            ([path], "total must be at least 1. Received: -1"),
            (["--curve=3", path], "curve"),
            (["--curves", "--output_dir=out", path], "leave out --curves"),
        ],
    )


def test_a_terminal_without_a_plus_minus_sign_gets_its_escape(paths):
    done = run_process(
        paths[0], module="peernets_tf.report", PYTHONIOENCODING="ascii"
    )
    assert done.status == 0, done.stderr
    assert r"98.50% \xb1" in done.stdout
