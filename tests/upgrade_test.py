"""Records of version 1, which lie in results/, are read without a loss."""

import json
import pathlib

import pytest

from peernets_tf import records
from peernets_tf.errors import UserError
from peernets_tf.records import upgrade
from peernets_tf.records.kinds import TYPES
from peernets_tf.records.leaves import leaves

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATHS = sorted(
    [
        *(ROOT / "results").glob("*.json"),
        *(ROOT / "peernets_tf").glob("models/preset_files/*.json"),
    ]
)


def read(name):
    return records.read(str(ROOT / "results" / f"{name}.json"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_record_is_read_and_written_again(path, tmp_path):
    record = records.read(str(path))
    kind = path.stem.split("_")[0]
    if path.parent.name == "results":
        kinds = {
            "ablation": "attack",
            "compare": "comparison",
            "precision": "training",
            "train": "training",
        }
        assert record.kind == kinds.get(kind, kind)
    copy = str(tmp_path / "record.json")
    records.write(record, copy)
    assert records.read(copy) == record


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_value_is_lost(path):
    fields = json.loads(path.read_text(encoding="utf-8"))
    if "kind" in fields:
        pytest.skip("not of version 1")
    new = dict(leaves(upgrade.from_version_1(fields)))
    values = list(map(repr, new.values()))
    for name, value in leaves(fields):
        if (
            value in ({}, [])
            or name in ("num_peers", "num_graphs")
            and not value
        ):
            continue  # Version 2 has None in its place.
        assert repr(value) in values, name


def test_there_are_records_of_each_kind():
    kinds = {records.read(str(path)).kind for path in PATHS}
    assert kinds == set(TYPES)


def test_a_training():
    record = read("train_cifar10_pr_resnet32")
    assert (record.correct, record.test_size) == (8496, 10000)
    assert record.graphs == records.Graphs(
        num_peers=50, num_graphs=10, seed=(3, 0)
    )
    assert record.initial_model.model == "resnet32"
    assert record.epochs == "8 + 8"
    assert record.provenance.seconds == 3171.2
    assert record.provenance.commit == "c9500517f3ad"
    assert record.provenance.flags["schedule"] == "cosine"
    record = read("train_cifar10_start")
    assert record.graphs is None
    assert record.initial_model is None


def test_an_attack():
    record = read("attack_cifar10_pr_resnet32_universal_deepfool_exact")
    drawn = records.Graphs(num_peers=50, num_graphs=1, seed=(3, 0))
    assert record.threat_model == records.ThreatModel(
        policy="known", defended=drawn, attacker=drawn
    )
    assert record.is_universal
    assert record.follows_gradient
    assert [case.rho for case in record.cases] == [0.04, 0.08, 0.1]
    assert all(case.rho_of == "unit" and case.clip for case in record.cases)
    assert record.cases[0].changed == 1958
    record = read("attack_cifar10_resnet32_noise")
    assert record.threat_model is None
    assert not record.is_universal
    assert not record.follows_gradient


def test_a_perturbation_of_a_file_follows_no_gradient():
    path = ROOT / "results" / "attack_cifar10_resnet32_noise.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    upgraded = upgrade.from_version_1({**fields, "attack": "universal.file"})
    assert upgraded["is_universal"]
    assert not upgraded["follows_gradient"]


def test_a_comparison():
    record = read("compare_hour")
    assert record.budget == "hour"
    row = record.rows[-1]
    assert row.key == "pr_resnet32_surrogate"
    assert row.steps == (1170, 781, 150)
    assert row.training.options["backward"] == "identity"
    assert row.training.provenance.seconds == 657.3
    assert row.training.provenance.commit == record.provenance.commit
    assert row.threat_model.policy == "known"
    assert [case.backward for case in row.cases] == ["exact", "identity"]
    assert row.cases[1].case.adversarial_correct == 93
    assert row.cases[1].provenance.seconds is None


def test_parts_of_a_comparison_keep_their_own_environment():
    path = ROOT / "results" / "compare_hour.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    row = fields["rows"][0]
    row["training"]["environment"] = {
        "commit": "first",
        "versions": {},
        "device": "gpu",
    }
    row["cases"][0]["environment"] = {
        "commit": "second",
        "versions": {},
        "device": "gpu",
    }
    row = upgrade.from_version_1(fields)["rows"][0]
    assert row["training"]["provenance"]["commit"] == "first"
    assert row["cases"][0]["provenance"]["commit"] == "second"
    assert row["cases"][0]["provenance"]["seed"] == 0


def test_a_given_file_has_no_training():
    path = ROOT / "results" / "compare_hour.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["rows"][0]["training"] = None
    assert upgrade.from_version_1(fields)["rows"][0]["training"] is None


def test_a_benchmark(tmp_path):
    # All benchmarks in results/ were run again since version 1.
    path = tmp_path / "record.json"
    fields = {
        "cases": [{"peernet": "pr_lenet5", "median_seconds": {"step": 0.5}}],
        "rounds": 30,
        "warm_up_rounds": 2,
        "load_average": 0.25,
        "command": "python -m benchmarks.training_step --rounds=30",
        "seed": 0,
        "commit": "3e7ba60176bd",
        "versions": {"keras": "3.15.1"},
        "device": "cpu",
    }
    path.write_text(json.dumps(fields))
    record = records.read(str(path))
    assert record.name == "training_step"
    assert record.rounds == 30
    assert record.cases[0]["peernet"] == "pr_lenet5"
    assert record.provenance.commit == "3e7ba60176bd"
    assert record.provenance.flags == {}
    assert record.provenance.seconds is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"attack": "pgd"}, "'peers' is missing"),
        ({"attack": 3, "peers": {}}, "wrong type"),
        ({"history": []}, "'num_peers' is missing"),
        ({"rows": [3]}, "wrong type"),
        ({"load_average": 1, "command": "x"}, "wrong type"),
        ({"other": 1}, "Received: other"),
    ],
)
def test_refuses_what_is_not_a_record(fields, message):
    with pytest.raises(UserError, match=message):
        upgrade.from_version_1(fields)
