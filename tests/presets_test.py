"""The trained models inside the package are those of their records."""

import functools

import pytest

from peernets_tf import datasets, models, peers, records, training
from peernets_tf.errors import UserError

NAMES = [
    "cifar10_pr_resnet32",
    "cifar10_resnet32",
    "mnist_lenet5",
    "mnist_pr_lenet5",
]


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


def read_record(name):
    return records.read(str(models.PRESET_FOLDER / f"{name}.json"))


def test_each_preset_has_its_record_and_its_card():
    assert models.presets() == NAMES
    for suffix in ("json", "md"):
        found = models.PRESET_FOLDER.glob(f"*.{suffix}")
        assert sorted(path.stem for path in found) == NAMES


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
    published = read_record(name)
    results = models.PRESET_FOLDER.parents[2] / "results"
    run = records.read(str(results / f"train_{name}.json"))
    card = (models.PRESET_FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert card == training.model_card(name, run, published)


@pytest.mark.parametrize("name", NAMES)
def test_the_accuracy_is_the_recorded_one(name, loaded, first_images):
    """On the record's images; another CPU may round two to another class."""
    record = read_record(name)
    assert record.test_size == 1000
    test = first_images(record.dataset)
    correct = training.count_correct(loaded[name], test, verbose=0)
    assert abs(correct - record.correct) <= 2


def test_a_path_of_something_else_stays_as_it_is():
    path = models.preset_path("mnist_lenet5")
    assert path == str(models.PRESET_FOLDER / "mnist_lenet5.keras")
    assert models.preset_path("runs/a/model.keras") == "runs/a/model.keras"
    assert models.preset_path(path) == path


def test_a_name_that_is_no_model(tmp_path):
    models.check_name("mnist_lenet5", "--checkpoint")
    models.check_name(str(tmp_path), "--checkpoint")
    for name in ("mnist", str(tmp_path / "none.keras"), ""):
        with pytest.raises(UserError, match="--checkpoint must be .*not exist"):
            models.check_name(name, "--checkpoint")


def test_unknown_name():
    with pytest.raises(UserError, match="mnist_lenet5.*name=cifar11"):
        models.load_pretrained("cifar11")
