import dataclasses
import json

import keras
import numpy as np
import pytest

from peernets_tf import results


def make_result(**changes):
    fields = {
        "model": "pr_lenet5",
        "weights_sha256": "0",
        "dataset": "mnist",
        "train_size": 60000,
        "test_size": 200,
        "correct": 197,
        "num_peers": 50,
        "num_graphs": 10,
        "peers_seed": [0, 5],
        "history": [{"epoch": 1, "loss": 0.5}],
        "seed": 0,
        "flags": {"epochs": 5},
        "command": "python -m peernets_tf.train",
        "commit": "abc",
        "versions": {},
        "device": "cpu",
        "seconds": 1.5,
    }
    return results.TrainingResult(**{**fields, **changes})


def make_attack_result(**changes):
    graphs = {"num_peers": 50, "num_graphs": 10, "seed": [3, 0]}
    case = {
        "attack": "UniversalDeepFool()",
        "norm": "l2",
        "epsilon": 2.3,
        "rho": 0.08,
        "total": 200,
        "correct": 160,
        "adversarial_correct": 100,
        "changed": 90,
        "fooled": 64,
        "zero_gradients": 0,
        "mean_l2": 30.06,
        "mean_linf": 0.62,
    }
    fields = {
        "model": "pr_resnet32",
        "checkpoint": "cifar10_pr_resnet32",
        "weights_sha256": "0",
        "dataset": "cifar10",
        "test_size": 200,
        "attack": "universal.deepfool",
        "backward": "identity",
        "peers": {"policy": "known", "judged": graphs, "attacked": graphs},
        "cases": [case],
        "seed": 0,
        "flags": {"rho": ["0.08"]},
        "command": "python -m peernets_tf.evaluate",
        "commit": "abc",
        "versions": {},
        "device": "cpu",
        "seconds": 1.5,
    }
    return results.AttackResult(**{**fields, **changes})


def test_json_round_trip(tmp_path):
    path = str(tmp_path / "record.json")
    results.write_json(make_result(), path)
    assert results.read_json(path) == make_result()
    results.write_json(make_attack_result(), path)
    assert results.read_record(path) == make_attack_result()


def test_accuracy_is_derived_from_counts():
    assert make_result().accuracy == 0.985
    assert "accuracy" not in dataclasses.asdict(make_result())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": "x"}'])
def test_refuses_what_is_no_record(tmp_path, text):
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="not a record of a training"):
        results.read_record(path)


def test_read_json_refuses_the_record_of_an_attack(tmp_path):
    path = str(tmp_path / "record.json")
    results.write_json(make_attack_result(), path)
    with pytest.raises(ValueError, match="an attack, not a training"):
        results.read_json(path)


def test_atomic_file_keeps_the_old_one_when_writing_fails(tmp_path):
    path = str(tmp_path / "file.txt")
    with results.atomic_file(path) as temporary, open(temporary, "w") as file:
        file.write("old")
    with (
        pytest.raises(OSError, match="full"),
        results.atomic_file(path) as temporary,
        open(temporary, "w") as file,
    ):
        file.write("half")
        raise OSError("disk full")
    assert (tmp_path / "file.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_weights_sha256_tells_weights_apart():
    def model(seed):
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])

    first = results.weights_sha256(model(0))
    assert first == results.weights_sha256(model(0))
    assert first != results.weights_sha256(model(1))


def test_environment_is_json():
    found = json.loads(json.dumps(results.environment()))
    assert set(found) == {"commit", "versions", "device"}
    assert found["versions"]["numpy"] == np.__version__


def test_format_table():
    table = results.format_table(("a", "long"), [("1", "2"), ("100", "x")])
    assert table.splitlines() == [
        "| a   | long |",
        "|-----|------|",
        "| 1   | 2    |",
        "| 100 | x    |",
    ]
