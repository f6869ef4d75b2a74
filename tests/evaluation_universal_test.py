"""Universal perturbations that are fitted once, resumed, and read."""

import dataclasses
import os

import numpy as np
import pytest
import sample_records
from keras import ops

from peernets_tf import datasets, records
from peernets_tf.attacks import Classifier, UniversalGradient
from peernets_tf.errors import UserError
from peernets_tf.evaluation import AttackConfig, universal
from peernets_tf.evaluation.plan import plan
from peernets_tf.evaluation.strength import Strength

# The name of a file has the first six digits.
RHOS = (0.1, 1 / 3)
ATTACK = UniversalGradient(epsilon=0.5, passes=2, batch_size=4)


def logits_fn(images):
    flat = ops.reshape(images, (-1, 4))
    return ops.stack([flat[:, 0], ops.sum(flat[:, 1:], axis=1)], axis=1)


@pytest.fixture(scope="module")
def classifier():
    return Classifier(logits_fn)


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (10, 2, 2, 1)).astype("float32")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "v")


def test_is_fitted_once(classifier, images, path):
    first = universal.fit(ATTACK, classifier, images, path=path, seed=0)
    expected = ATTACK.fit(classifier, images, seed=0)
    np.testing.assert_array_equal(first.perturbation, expected.perturbation)
    assert repr(first) == repr(expected)
    assert repr(ATTACK) in repr(first)

    def fails(images):
        raise AssertionError

    again = universal.fit(ATTACK, Classifier(fails), images, path=path, seed=0)
    np.testing.assert_array_equal(again.perturbation, first.perturbation)
    read = universal.read(f"{path}.npy", (2, 2, 1), "l2")
    np.testing.assert_array_equal(read.perturbation, first.perturbation)
    assert read.epsilon == pytest.approx(first.epsilon)


def test_images_of_any_channels_are_fitted(rng, path):
    """Only those of one or three have a picture."""
    for channels in (2, 3):
        images = rng.uniform(0, 1, (4, 2, 2, channels)).astype("float32")
        own = f"{path}{channels}"

        def two_logits(x, length=4 * channels):
            return ops.reshape(x, (-1, length))[:, :2]

        universal.fit(
            UniversalGradient(epsilon=0.5, passes=1, batch_size=4),
            Classifier(two_logits),
            images,
            path=own,
            seed=0,
        )
        assert os.path.exists(f"{own}.npy")
        assert os.path.exists(f"{own}.png") == (channels == 3)


def test_interrupted_equals_uninterrupted(classifier, images, path):
    steps = ATTACK.iterate(classifier, images, seed=0)
    for _ in range(4):
        progress = next(steps)
    np.savez(f"{path}.npz", run="", **dataclasses.asdict(progress))
    resumed = universal.fit(ATTACK, classifier, images, path=path, seed=0)
    whole = ATTACK.fit(classifier, images, seed=0)
    np.testing.assert_array_equal(resumed.perturbation, whole.perturbation)
    assert repr(resumed) == repr(whole)


def test_damaged_progress_says_what_to_do(classifier, images, path):
    with open(f"{path}.npz", "wb") as file:
        file.write(b"not an archive")
    with pytest.raises(UserError, match=r"v\.npz.*Remove"):
        universal.fit(ATTACK, classifier, images, path=path, seed=0)


def test_reading_a_file_that_is_no_perturbation(tmp_path):
    path = tmp_path / "v.npy"

    def refuses(message):
        with pytest.raises(UserError, match=message):
            universal.read(str(path), (2, 2, 1), "l2")

    refuses("cannot read")
    path.write_text("not an array")
    refuses("cannot read")
    path.write_bytes(b"")
    refuses("cannot read")
    with open(path, "wb") as file:
        np.savez(file, np.zeros(3))
    refuses("give an .npy array")
    np.save(path, np.zeros((3, 2, 1)))
    refuses(r"shape, \(2, 2, 1\)\. Received: float64 of shape \(3, 2, 1\)")
    np.save(path, np.full((2, 2, 1), "a"))
    refuses("real numbers")


def test_the_perturbations_of_a_record(tmp_path, rng):
    vs = {rho: rng.normal(0, 1, (2, 2, 1)) for rho in (1.0, 0.04, 1e-05)}
    for rho, v in vs.items():
        np.save(tmp_path / f"perturbation_rho_{rho:g}.npy", v)
    np.save(tmp_path / "perturbation_l2_0.5.npy", np.zeros(3))
    (tmp_path / "perturbation_rho_0.04.npz").write_bytes(b"not an array")
    (tmp_path / "perturbation_rho_1.2.3.npy").write_bytes(b"not an array")
    found = universal.perturbations_of(str(tmp_path / "record.json"))
    assert list(found) == [1e-05, 0.04, 1.0]
    for rho, v in vs.items():
        np.testing.assert_array_equal(found[rho], v.astype("float32"))


def test_the_perturbations_of_a_published_record(tmp_path):
    folder = tmp_path / "attack_it"
    folder.mkdir()
    np.save(folder / "perturbation_rho_0.1.npy", np.ones((2, 2, 1), "f4"))
    found = universal.perturbations_of(str(tmp_path / "attack_it.json"))
    assert list(found) == [0.1]
    assert universal.perturbations_of(str(tmp_path / "other.json")) == {}
    assert universal.perturbations_of(str(tmp_path / "none/record.json")) == {}


def test_damaged_perturbations_of_a_record(tmp_path):
    record = str(tmp_path / "record.json")
    np.save(tmp_path / "perturbation_rho_0.1.npy", np.ones((2, 2, 1)))
    np.save(tmp_path / "perturbation_rho_0.333333.npy", np.ones((3, 2, 1)))
    with pytest.raises(
        UserError, match=r"rho_0\.333333\.npy.*shape, \(2, 2, 1\)"
    ):
        universal.perturbations_of(record)
    np.save(
        tmp_path / "perturbation_rho_0.333333.npy", np.full((2, 2, 1), np.nan)
    )
    with pytest.raises(UserError, match="finite numbers"):
        universal.perturbations_of(record)


def save_record(folder, **changes):
    """Writes a record of two strengths, with their perturbations."""
    cases = tuple(
        sample_records.make_case(
            rho=rho, epsilon=2 * rho, rho_of="centered", clip=False
        )
        for rho in RHOS
    )
    path = str(folder / "record.json")
    record = sample_records.make_attack(cases=cases, **changes)
    records.write(record, path)
    for rho in RHOS:
        v = np.zeros((2, 2, 1), "float32")
        v[0, 0, 0] = rho
        np.save(folder / f"perturbation_rho_{rho:g}.npy", v)
    return path


def test_the_attacks_of_a_record(tmp_path):
    path = save_record(tmp_path)
    split = datasets.Split(
        images=np.full((3, 2, 2, 1), 0.5, "float32"),
        labels=np.zeros(3, "int32"),
    )
    dataset = datasets.Dataset(
        name="grey",
        train=split,
        test=split,
        num_classes=2,
        sha256="0",
    )
    config = AttackConfig(name="universal.file", perturbation=path)
    planned = plan(config, dataset)
    assert [strength for strength, _ in planned] == [
        Strength(
            norm="l2", epsilon=2 * rho, rho=rho, rho_of="centered", clip=False
        )
        for rho in RHOS
    ]
    for (strength, attack), rho in zip(planned, RHOS, strict=True):
        assert (attack.norm, attack.clip) == ("l2", strength.clip)
        assert attack.perturbation[0, 0, 0] == np.float32(rho)
        assert f"perturbation_rho_{rho:g}.npy, SHA-256" in attack.source
    with pytest.raises(UserError, match="norm and clip are those"):
        plan(
            AttackConfig(
                name="universal.file", perturbation=path, options={"clip": True}
            ),
            dataset,
        )


def test_records_without_perturbations(tmp_path):
    """Of another attack, or without its files."""
    path = save_record(tmp_path, is_universal=False, attack="pgd")
    with pytest.raises(UserError, match="attack=universal and rho"):
        universal.read_record(path, (2, 2, 1))
    path = save_record(tmp_path)
    with pytest.raises(UserError, match=r"images' shape, \(3, 3, 1\)"):
        universal.read_record(path, (3, 3, 1))
    (tmp_path / "perturbation_rho_0.1.npy").unlink()
    with pytest.raises(UserError, match="none for rho=0.1"):
        universal.read_record(path, (2, 2, 1))
    (tmp_path / "perturbation_rho_0.333333.npy").unlink()
    with pytest.raises(UserError, match="attack=universal and rho"):
        universal.read_record(path, (2, 2, 1))
