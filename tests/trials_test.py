"""The trials notice what is wrong, and their own inputs are as they say."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from trials import damages, remains, wrong_values
from trials.trial import ACCEPTED, EITHER, Outcome, Trial, complaints

GOOD_LINE = "error: --epochs must be at least 1. Received: 0\n"


def make_trial(**changes):
    fields = {
        "name": "zero epochs",
        "module": "peernets_tf.train",
        "arguments": ("--epochs=0",),
        "mentions": ("epochs",),
    }
    return Trial(**{**fields, **changes})


@pytest.mark.parametrize("status", [1, 2])
def test_one_line_that_helps_is_no_complaint(status):
    outcome = Outcome(status=status, stderr=GOOD_LINE)
    assert complaints(make_trial(), outcome) == []
    assert complaints(make_trial(expected=EITHER), outcome) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"status": None}, "still running"),
        ({"status": 0}, "accepted"),
        ({"status": 3}, "exit status 3"),
        ({"status": -9}, "exit status -9"),
        ({"stderr": "Traceback (most recent call last):\nE"}, "traceback: E"),
        ({"stderr": ""}, "0 lines"),
        ({"stderr": f"hello\n{GOOD_LINE}"}, "2 lines"),
        ({"stderr": "error: --seed must be small"}, "does not name epochs"),
        *(
            ({"stderr": f"error: epochs {fault}"}, "does not say what to do")
            for fault in (
                "",
                "is not a .flags file",
                "is missing",
                "holds only zeros",
                "names no file",
                "expected a number. Received: nothing",
            )
        ),
        ({"stderr": "error: give epochs \x1b[31m"}, "control characters"),
        ({"memory": 5 * 2**30}, "5.0 GiB"),
        ({"written": ("out",)}, "wrote out"),
    ],
)
def test_each_fault_is_a_complaint(changes, complaint):
    fields = {"status": 1, "stderr": GOOD_LINE, **changes}
    found = complaints(make_trial(), Outcome(**fields))
    assert complaint in " ".join(found)


def test_what_is_allowed_must_succeed():
    trial = make_trial(expected=ACCEPTED)
    assert complaints(trial, Outcome(status=0, stderr="")) == []
    refused = Outcome(status=1, stderr=GOOD_LINE)
    assert "refused: error" in complaints(trial, refused)[0]


def test_a_run_may_write_only_where_it_resumes():
    outcome = Outcome(status=1, stderr=GOOD_LINE, written=("out/x",))
    assert complaints(make_trial(may_write=True), outcome) == []


def write_run(folder, *, correct=3, seconds=1.0, weights=0.0):
    folder.mkdir()
    record = {"correct": correct, "provenance": {"seconds": seconds}}
    (folder / "record.json").write_text(json.dumps(record))
    history = json.dumps([{"loss": 0.5, "seconds": seconds}])
    np.savez(folder / "checkpoint-0001.npz", history=history, w=weights)
    return remains.of(folder)


def test_only_times_may_differ(tmp_path):
    first = write_run(tmp_path / "a")
    assert not remains.differences(
        first, write_run(tmp_path / "b", seconds=2.0)
    )
    other = write_run(tmp_path / "c", correct=2)
    assert "record.json differs" in remains.differences(first, other)[0]
    # The smallest step of float64: weights are compared bit for bit.
    other = write_run(tmp_path / "d", weights=5e-324)
    assert "checkpoint-0001.npz differs" in remains.differences(first, other)[0]


def test_lost_files_and_left_over_files(tmp_path):
    first = write_run(tmp_path / "a")
    (tmp_path / "a" / ".writing.x").touch()
    left = remains.of(tmp_path / "a")
    assert remains.differences(first, left) == [".writing.x is left over"]
    assert remains.differences(left, first) == [".writing.x is lost"]


def make_model(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"module": "keras"}')
        archive.writestr("model.weights.h5", b"weights")


SAMPLES = {
    "photo.png": (
        lambda path: Image.new("RGB", (20, 20)).save(path),
        damages.of_image(),
    ),
    "record.json": (
        lambda path: path.write_text('{"a": [1, {"b": 2}]}'),
        {**damages.everywhere(), **damages.of_json()},
    ),
    "image.npy": (
        lambda path: np.save(path, np.ones((12, 12, 1), np.float32)),
        damages.of_array(),
    ),
    "data.npz": (
        lambda path: np.savez(path, x_train=np.ones((2, 2)), y_train=[0, 1]),
        {
            name: damage
            for name, damage in {
                **damages.of_archive("x_train"),
                **damages.of_labels(),
            }.items()
            if "bomb" not in name
        },
    ),
    "model.keras": (
        make_model,
        {
            name: damage
            for name, damage in damages.of_model().items()
            if "bomb" not in name
        },
    ),
}


@pytest.mark.parametrize(
    ("sample", "name"),
    [(sample, name) for sample, (_, all_) in SAMPLES.items() for name in all_],
)
def test_a_damage_changes_the_file(tmp_path, sample, name):
    make, every = SAMPLES[sample]
    path = tmp_path / sample
    make(path)
    before = path.read_bytes()
    every[name](path)
    assert not path.is_file() or path.read_bytes() != before
    assert {p.name for p in tmp_path.iterdir()} == {sample}


def test_a_pickle_would_leave_its_mark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "image.npy"
    damages.of_array()["pickle"](path)
    np.load(path, allow_pickle=True)
    assert (tmp_path / damages.MARK).exists()


def test_fields_of_json_are_damaged_one_at_a_time(tmp_path):
    path = tmp_path / "record.json"
    valid = {"a": [1, {"b": 2}], "c": "x"}
    path.write_text(json.dumps(valid))
    every = damages.of_json_fields(path, 5, seed=0)
    assert len(every) == 5
    for damage in every.values():
        path.write_text(json.dumps(valid))
        damage(path)
        assert json.loads(path.read_text()).keys() == valid.keys()


def test_wrong_numbers_pass_the_bounds():
    values = wrong_values.wrong_numbers(True, 1, 10)
    assert {"0", "11", "1.5", "1e400", "\u00b2"} <= set(values)
    assert "-1" in wrong_values.wrong_numbers(False, None, None)
