"""A folder belongs to one run, and the same run resumes in it."""

import json

import pytest
from sample_records import make_provenance

from peernets_tf import records
from peernets_tf.errors import UserError

IDENTITY = {
    "kind": "training",
    "dataset": "mnist",
    "decay_epochs": (100, 175),
    "recipe": {"epochs": 5, "l2": 1e-4},
    "initial_model": None,
}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "first"


def claim(folder, commit="abc", **changes):
    return records.claim(
        str(folder), {**IDENTITY, **changes}, make_provenance(commit=commit)
    )


def test_the_first_start_makes_the_folder(folder):
    assert claim(folder) == make_provenance()
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert list(run) == ["identity", "provenance"]
    assert run["identity"]["kind"] == "training"


def test_the_same_run_keeps_the_provenance_of_its_first_start(folder):
    claim(folder, commit="first")
    before = (folder / "run.json").read_bytes()
    assert claim(folder, commit="second").commit == "first"
    assert (folder / "run.json").read_bytes() == before


def test_a_folder_is_for_one_configuration_of_a_model(folder):
    claim(folder, config_sha256="a")
    with pytest.raises(UserError, match="config_sha256=a. Received: .*=b"):
        claim(folder, config_sha256="b")


def test_an_existing_folder_may_hold_other_files(folder):
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("keep me")
    claim(folder)
    assert (folder / "notes.txt").read_text() == "keep me"


@pytest.mark.parametrize(
    ("changes", "expected", "received"),
    [
        ({"dataset": "cifar10"}, "dataset=mnist", "dataset=cifar10"),
        (
            {"decay_epochs": (100, 250)},
            "decay_epochs[1]=175",
            "decay_epochs[1]=250",
        ),
        (
            {"recipe": {"epochs": 5, "l2": 0.5}},
            "recipe.l2=0.0001",
            "recipe.l2=0.5",
        ),
        ({"initial_model": "x"}, "initial_model=None", "initial_model=x"),
        ({"recipe": {}}, "recipe=missing", "recipe={}"),
    ],
)
def test_another_run_is_refused(folder, changes, expected, received):
    claim(folder)
    with pytest.raises(UserError) as error:
        claim(folder, **changes)
    assert str(error.value) == (
        f"{folder} holds a run with {expected}. Received: {received}. Give "
        "the same flags to resume it, or another --output_dir"
    )


@pytest.mark.parametrize("name", ["rho", "config_sha256"])
def test_a_folder_that_lacks_a_value_may_be_of_another_version(folder, name):
    claim(folder)
    with pytest.raises(UserError, match="be of another version") as error:
        claim(folder, **{name: 1})
    assert f"{name}=missing. Received: {name}=1. " in str(error.value)


def test_another_model_at_the_same_path_is_refused(folder):
    claim(folder, weights_sha256="0")
    with pytest.raises(
        UserError, match="or another --output_dir; .* file changed"
    ):
        claim(folder, weights_sha256="1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "as JSON"),
        ("[]", "not the run.json of a run"),
        ("{}", "lacks the field 'provenance'"),
        ('{"run": {}, "environment": {}}', "lacks the field 'provenance'"),
        ('{"identity": {}, "provenance": {}}', "required field `command`"),
    ],
)
def test_a_damaged_file_is_named(folder, text, message):
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        claim(folder)
    assert str(folder / "run.json") in str(error.value)
    assert f"Remove {folder} to start again" in str(error.value)


def test_an_identity_that_is_not_an_object_is_damaged(folder):
    claim(folder)
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    run["identity"] = []
    (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(UserError, match="`object`, got `array`"):
        claim(folder)


def test_a_file_of_somebody_else_is_not_overwritten(folder):
    folder.mkdir(parents=True)
    (folder / "model.keras").write_text("mine")
    provenance = make_provenance()
    with pytest.raises(UserError, match="model.keras that is not of this run"):
        records.claim(str(folder), IDENTITY, provenance, makes="model.keras")
    assert [path.name for path in folder.iterdir()] == ["model.keras"]
    (folder / "model.keras").unlink()
    for _ in range(2):
        records.claim(str(folder), IDENTITY, provenance, makes="model.keras")
        # From now on it is the run's own.
        (folder / "model.keras").write_text("the run's")
