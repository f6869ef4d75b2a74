"""Pictures of models find the networks of records, or say what is missing."""

import numpy as np
import pytest
from sample_records import make_attack, make_training

from peernets_tf import models, records
from peernets_tf.errors import UserError
from peernets_tf.pictures import model_pictures, networks
from peernets_tf.records import Source, read_sources


def source(record, **fields):
    return Source(path="record.json", record=record, **fields)


def preset_record(name):
    return records.of_model(models.preset_path(name))


def attack_on(name, **changes):
    """Returns a record of an attack on a preset, with its weights."""
    record = preset_record(name)
    fields = {
        "model": record.model,
        "checkpoint": name,
        "weights_sha256": record.weights_sha256,
        "dataset": record.dataset,
    }
    return make_attack(**{**fields, **changes})


def test_the_plain_network_is_the_one_of_the_peernet():
    attacks = [
        attack_on("mnist_lenet5", threat_model=None),
        attack_on("mnist_lenet5", threat_model=None, model="resnet32"),
        attack_on("mnist_pr_lenet5"),
        attack_on("cifar10_resnet32", threat_model=None),
    ]
    mnist, cifar10 = networks.pairs(
        [source(a) for a in reversed(attacks)][::-1]
    )
    assert (mnist.plain.model, mnist.peernet.model) == ("lenet5", "pr_lenet5")
    assert (cifar10.plain.model, cifar10.peernet) == ("resnet32", None)
    assert [n.model for n in mnist.networks] == ["lenet5", "pr_lenet5"]


def test_files_that_exist_come_first(tmp_path):
    path = tmp_path / "model.keras"
    path.touch()
    gone = make_attack(checkpoint="gone.keras")
    (pair,) = networks.pairs(
        [source(gone), source(make_attack(checkpoint=str(path)))]
    )
    assert pair.peernet.path == str(path)


def test_trainings_count_with_the_model_beside_them(tmp_path):
    records.write(make_training(), str(tmp_path / "record.json"))
    paths = [str(tmp_path / "record.json")]
    assert networks.pairs(read_sources(paths)) == []
    (tmp_path / "model.keras").touch()
    (pair,) = networks.pairs(read_sources(paths))
    assert pair.peernet.path == str(tmp_path / "model.keras")


def test_weights_must_be_those_of_the_record():
    (pair,) = networks.pairs(
        [source(attack_on("mnist_lenet5", threat_model=None))]
    )
    assert networks.load(pair.plain).name == "lenet5"
    (pair,) = networks.pairs(
        [source(attack_on("mnist_lenet5", weights_sha256="0"))]
    )
    with pytest.raises(UserError, match="not those of the record"):
        networks.load(pair.peernet)


def test_what_is_missing_is_said_and_nothing_fails(tmp_path):
    sources = [
        source(make_attack(checkpoint="gone.keras")),
        source(attack_on("mnist_lenet5", dataset=str(tmp_path / "no.npz"))),
    ]
    said = []
    pictures, missing = model_pictures.model_pictures(sources, say=said.append)
    assert pictures == said == []
    assert len(missing) == 2
    assert (
        "PR-ResNet-32 on CIFAR-10: the file gone.keras is missing" in missing[0]
    )
    assert "no.npz" in missing[1]


def test_images_of_another_shape_are_said(stripes, tmp_path):
    path = tmp_path / "stripes.npz"
    np.savez(
        path,
        x_train=stripes.train.images,
        y_train=stripes.train.labels,
        x_test=stripes.test.images,
        y_test=stripes.test.labels,
    )
    sources = [source(attack_on("mnist_lenet5", dataset=str(path)))]
    pictures, missing = model_pictures.model_pictures(
        sources, say=lambda _: None
    )
    assert pictures == []
    assert len(missing) == 1
    assert "must take images of shape (12, 12, 1)" in missing[0]


def test_what_a_network_rejects_is_not_shown():
    record = attack_on("mnist_lenet5", rejected_as="right")
    assert networks.pairs([source(record)]) == []
