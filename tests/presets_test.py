"""The trained models inside the package are those of their records."""

import dataclasses
import functools

import generate_tables
import numpy as np
import pytest
from commands import ROOT
from sample_records import (
    THREAT_MODEL,
    make_attack,
    make_suite,
    make_suite_result,
)

import peernets_tf
from peernets_tf import (
    adaptive,
    attacks,
    datasets,
    models,
    peers,
    records,
    training,
)
from peernets_tf.errors import UserError
from peernets_tf.records.per_image import from_hexadecimal

NAMES = [
    "cifar10_pr_resnet32",
    "cifar10_pr_resnet32_adversarial",
    "cifar10_pr_resnet32_long",
    "cifar10_pr_resnet32_random_start",
    "cifar10_resnet32",
    "cifar10_resnet32_adversarial",
    "cifar10_resnet32_adversarial_long",
    "cifar10_resnet32_long",
    "mnist_lenet5",
    "mnist_pr_lenet5",
]
# Records of PGD of 20 steps of 1/255, along the worst backward pass.
PGD_20 = {
    "cifar10_pr_resnet32_adversarial": "cifar10_pr_resnet32_pgd20_identity",
    "cifar10_resnet32_adversarial": "cifar10_resnet32_pgd20",
    "cifar10_resnet32_adversarial_long": "cifar10_resnet32_long_pgd20",
}


@pytest.fixture(scope="module")
def loaded():
    return {name: models.load_pretrained(name) for name in NAMES}


@pytest.fixture(scope="module")
def first_images(data_dir):
    """The first 1,000 test images of a data set, which is read once."""

    @functools.cache
    def load(name):
        return datasets.load(name, data_dir).test.first(1000)

    return load


def test_a_file_that_is_being_written_is_no_preset(tmp_path, monkeypatch):
    monkeypatch.setattr(models.presets, "PRESET_FOLDER", tmp_path)
    for name in ("whole.keras", ".writing.0123456789abcdef.half.keras"):
        (tmp_path / name).touch()
    assert models.preset_names() == ["whole"]


def read_record(name):
    return records.read(str(models.PRESET_FOLDER / f"{name}.json"))


def test_each_preset_has_its_record_and_its_card():
    assert models.preset_names() == NAMES
    assert [preset.name for preset in peernets_tf.presets()] == NAMES
    found = {path.name for path in models.PRESET_FOLDER.iterdir()}
    suffixes = ("keras", "json", "md")
    wanted = {f"{name}.{suffix}" for name in NAMES for suffix in suffixes}
    assert wanted <= found
    assert found - wanted <= {f"{name}.suite.json" for name in NAMES}


@pytest.mark.parametrize("preset", peernets_tf.presets(), ids=lambda p: p.name)
def test_a_preset_says_what_was_measured_of_it(preset, loaded):
    record = read_record(preset.name)
    assert preset.training == record
    assert preset.accuracy == record.accuracy
    assert preset.num_parameters == loaded[preset.name].count_params()
    assert preset.suite == generate_tables.suite_of(preset.name)
    text = str(preset)
    assert text.startswith(f"{preset.name}: ")
    assert f"{preset.num_parameters:,} parameters" in text
    if preset.suite is None:
        assert preset.robust_accuracy is None
        assert "not attacked" in text
    else:
        result = preset.suite.result
        assert preset.robust_accuracy == result.robust / result.total
        assert f"{result.robust_accuracy:.1%} of {result.total:,}" in text
        assert f"under the suite {result.title}" in text


def test_the_suite_that_leaves_fewest_images_speaks():
    def suite(name, robust=40, policy="known", graphs=THREAT_MODEL.defended):
        threat_model = dataclasses.replace(
            THREAT_MODEL, policy=policy, defended=graphs
        )
        result = make_suite_result(suite=name, robust=robust, cases=())
        return make_suite(threat_model=threat_model, result=result)

    def published(*attacks):
        return generate_tables.published_suite(attacks, THREAT_MODEL.defended)

    adaptive, first, second = (
        suite("adaptive"),
        suite("autoattack", 30),
        suite("autoattack", 20),
    )
    assert published(make_attack(), first, adaptive, second) is adaptive
    assert published(first, second) is second
    other = dataclasses.replace(THREAT_MODEL.defended, num_graphs=7)
    assert (
        published(
            make_attack(),
            suite("rand"),
            suite("adaptive", policy="fresh"),
            suite("adaptive", graphs=other),
        )
        is None
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_file_is_the_recorded_one(name, loaded):
    record = read_record(name)
    assert models.weights_sha256(loaded[name]) == record.weights_sha256
    assert (models.PRESET_FOLDER / f"{name}.keras").stat().st_size < 5e6
    bank = peers.stored_peers(loaded[name])
    if record.graphs is None:
        assert bank is None
    else:
        assert (bank.num_graphs, bank.num_peers) == (1, record.graphs.num_peers)
        assert record.graphs.num_graphs == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_made_of_the_records(name):
    card = (models.PRESET_FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert card == generate_tables.card(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_accuracy_is_the_recorded_one(name, loaded, first_images):
    """On the record's images; another CPU may round two to another class."""
    record = read_record(name)
    assert record.test_size == 1000
    test = first_images(record.dataset)
    correct = training.count_correct(loaded[name], test, verbose=0)
    assert abs(correct - record.correct) <= 2


@pytest.mark.parametrize("preset", peernets_tf.presets(), ids=lambda p: p.name)
def test_the_accuracy_under_attack_is_the_recorded_one(
    preset, loaded, first_images
):
    """PGD leaves of 20 images those that its record names, but for one.

    The random start of PGD is another one.

    Of networks that no record of this PGD attacked, a suite left no image.
    """
    if preset.suite is None:
        pytest.skip("no suite attacked it")
    model, result = loaded[preset.name], preset.suite.result
    test = first_images(preset.training.dataset).first(20)
    followed = adaptive.bpda(model, "identity")
    options = {"norm": result.norm, "epsilon": result.epsilon, "steps": 20}
    expected = np.zeros(20, bool)
    if preset.name in PGD_20:
        name = f"attack_adversarial_{PGD_20[preset.name]}.json"
        case = records.read(str(ROOT / "results" / name)).cases[0]
        expected = from_hexadecimal(case.right, case.total)[:20]
        options["step_size"] = 1 / 255
    else:
        assert result.robust == 0
    attack = attacks.PGD(**options)
    adversarial = attack(
        attacks.Classifier(followed), test.images, test.labels, seed=0
    )
    left = model.predict(adversarial, verbose=0).argmax(1) == test.labels
    assert np.sum(left != expected) <= 1


def test_a_path_of_something_else_stays_as_it_is():
    path = models.preset_path("mnist_lenet5")
    assert path == str(models.PRESET_FOLDER / "mnist_lenet5.keras")
    assert models.preset_path("runs/a/model.keras") == "runs/a/model.keras"
    assert models.preset_path(path) == path


def test_a_name_that_is_no_model(tmp_path):
    models.check_name("mnist_lenet5", "--checkpoint")
    with pytest.raises(UserError, match="is a folder"):
        models.check_name(str(tmp_path), "--checkpoint")
    for name in ("mnist", str(tmp_path / "none.keras"), ""):
        with pytest.raises(UserError, match="--checkpoint must be .*not exist"):
            models.check_name(name, "--checkpoint")


def test_unknown_name():
    with pytest.raises(UserError, match="mnist_lenet5.*name=cifar11"):
        models.load_pretrained("cifar11")
