import pathlib

import keras
import pytest

from peernets_tf import data, load_pretrained, pretrained, results, training
from peernets_tf.peers import peer_layers

FOLDER = pathlib.Path(pretrained._FOLDER)
NAMES = sorted(path.stem for path in FOLDER.glob("*.keras"))


def test_each_file_has_its_record():
    assert NAMES == [
        "cifar10_pr_resnet32",
        "cifar10_resnet32",
        "mnist_lenet5",
        "mnist_pr_lenet5",
    ]
    records = sorted(path.stem for path in FOLDER.glob("*.json"))
    assert records == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_the_recorded_one(name):
    record = results.read_json(str(FOLDER / f"{name}.json"))
    model = load_pretrained(name)
    assert results.weights_sha256(model) == record.weights_sha256
    assert (FOLDER / f"{name}.keras").stat().st_size < 5e6
    assert (FOLDER / f"{name}.md").is_file()
    for layer in peer_layers(model):
        assert layer.peers.shape[:2] == (1, record.num_peers)


@pytest.mark.parametrize("name", NAMES)
def test_the_accuracy_is_the_recorded_one(name, data_dir):
    """On the images of the record; another CPU may round two over the line."""
    record = results.read_json(str(FOLDER / f"{name}.json"))
    assert record.test_size == 1000
    test = data.load(record.dataset, data_dir).test.first(1000)
    correct = training.count_correct(load_pretrained(name), test, verbose=0)
    assert abs(correct - record.correct) <= 2


def test_unknown_name():
    with pytest.raises(ValueError, match="Received: name=cifar11"):
        load_pretrained("cifar11")


def test_loads_from_the_folder(tmp_path, monkeypatch, rng):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / "small.keras")
    monkeypatch.setattr(pretrained, "_FOLDER", tmp_path)
    loaded = load_pretrained("small")
    assert results.weights_sha256(loaded) == results.weights_sha256(model)
