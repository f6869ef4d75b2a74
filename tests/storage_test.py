"""Records are written whole, and read only if every field is valid."""

import json
import pathlib

import pytest
from sample_records import make_attack, make_training, one_of_each_kind

from peernets_tf import records
from peernets_tf.errors import UserError
from peernets_tf.records.kinds import TYPES

ROOT = pathlib.Path(__file__).resolve().parent.parent
PUBLISHED = sorted(
    [
        *(ROOT / "results").glob("*.json"),
        *(ROOT / "peernets_tf").glob("models/preset_files/*.json"),
    ]
)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "record.json")


@pytest.mark.parametrize(
    "record", one_of_each_kind(), ids=lambda record: record.kind
)
def test_what_is_written_is_read(record, path):
    records.write(record, path)
    assert records.read(path) == record


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda path: path.stem)
def test_every_published_record_is_read_and_written_again(published, path):
    record = records.read(str(published))
    if published.parent.name == "results":
        prefix = published.stem.split("_")[0]
        kinds = {
            "ablation": "attack",
            "compare": "comparison",
            "precision": "training",
            "train": "training",
        }
        assert record.kind == kinds.get(prefix, prefix)
    records.write(record, path)
    assert records.read(path) == record


def test_there_are_published_records_of_each_kind():
    kinds = {records.read(str(published)).kind for published in PUBLISHED}
    assert kinds == set(TYPES)


def test_kind_and_version_come_first(path):
    records.write(make_training(), path)
    with open(path, encoding="utf-8") as file:
        fields = json.load(file)
    assert list(fields.items())[:2] == [
        ("kind", "training"),
        ("schema_version", records.SCHEMA_VERSION),
    ]
    # Counts stay integers.
    assert repr(fields["history"][0]["epoch"]) == "1"


def changed(record, field, value):
    """Returns the JSON text of a record in which one field is replaced.

    Args:
        record: the record.
        field: str, as in `"cases.0.total"`.
        value: the new value, or `None` to remove the field.
    """
    fields = json.loads(json.dumps(records.storage.to_json(record)))
    *parents, last = field.split(".")
    parent = fields
    for name in parents:
        parent = parent[int(name) if name.isdigit() else name]
    if value is None:
        del parent[last]
    else:
        parent[last] = value
    return json.dumps(fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "as JSON"),
        ("[]", "expected a JSON object. Received: list"),
        ("{}", "kind must be one of training, attack.* Received: None"),
        ('{"kind": "picture"}', "kind must be one of training, attack"),
        ('{"kind": ["attack"]}', "kind must be one of training, attack"),
        ('{"kind": "attack"}', "schema_version must be 2. Received: None"),
        (changed(make_attack(), "schema_version", 3), "Received: 3"),
        (changed(make_attack(), "model", None), "required field `model`"),
        (changed(make_attack(), "test_size", "9"), r"`int`.*`test_size`"),
        (changed(make_attack(), "test_size", True), r"`bool` .*`test_size`"),
        (changed(make_attack(), "cases.0.total", 1.5), r"`cases\[0\].total`"),
        (changed(make_attack(), "cases.0.correct", 201), r"total=200.*cases"),
        (
            changed(make_attack(), "cases.0.mean_l2", float("nan")),
            "numbers must be finite. Received: NaN",
        ),
        (
            changed(make_attack(), "cases.0.epsilon", float("inf")),
            "numbers must be finite. Received: Infinity",
        ),
        (
            changed(make_attack(), "threat_model.defended.seed", "3"),
            "threat_model.defended.seed",
        ),
        (changed(make_attack(), "threat_modl", {}), "threat_modl is not"),
        (changed(make_attack(), "cases.0.rate", 1), r"cases\[0\].rate is not"),
        (changed(make_training(), "history.0.loss", "low"), "history"),
    ],
)
def test_refuses_what_is_not_a_record(path, text, message):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    with pytest.raises(UserError, match=message) as error:
        records.read(path)
    assert path in str(error.value)


def test_refuses_a_file_that_is_missing(path):
    with pytest.raises(UserError, match="No such file"):
        records.read(path)


def test_does_not_write_what_is_not_finite(path):
    record = make_training(history=({"epoch": 1, "loss": float("nan")},))
    with pytest.raises(UserError, match=r"history\[0\].loss must be finite"):
        records.write(record, path)
    with pytest.raises(UserError, match="No such file"):
        records.read(path)


def test_another_file_beside_a_model_is_named(tmp_path):
    (tmp_path / "model.json").write_text('{"class_name": "Functional"}')
    with pytest.raises(
        UserError, match=r"model\.json is read as the record.*; move it"
    ):
        records.of_model(str(tmp_path / "model.keras"))
