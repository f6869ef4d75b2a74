"""The comparison of Table 6 as a library: what is checked, and a real row."""

import dataclasses

import keras
import numpy as np
import pytest
from sample_records import make_provenance

from madry_challenge import comparison, table6
from madry_challenge.config import Config
from peernets_tf.errors import UserError

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="adversarial training needs TensorFlow",
)


def test_checkpoints_name_rows():
    texts = ["resnet32=a=b.keras", "pr_resnet32_bpda=cifar10_pr_resnet32"]
    assert comparison.parse_checkpoints(texts) == {
        "resnet32": "a=b.keras",
        "pr_resnet32_bpda": "cifar10_pr_resnet32",
    }


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["resnet18=x"], "must be ROW=PATH"),
        (["resnet32"], "must be ROW=PATH"),
        (["resnet32=x", "resnet32=y"], "one model for each row"),
    ],
)
def test_refuses_other_checkpoints(texts, message):
    with pytest.raises(UserError, match=message):
        comparison.parse_checkpoints(texts)


def test_only_trainings_need_tensorflow(rng, monkeypatch, tmp_path):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(comparison, "_compare", lambda *_: "compared")
    images = rng.integers(0, 255, (10, 32, 32, 3)).astype(np.uint8)
    data = {"x_train": images, "y_train": np.arange(10)}
    path = tmp_path / "images.npz"
    np.savez(path, **data, x_test=images, y_test=np.arange(10))
    row = table6.rows(Config(), table6.BUDGETS["day"], "identity")[0]
    config = comparison.CompareConfig(
        rows=(row,),
        budget="day",
        attack=Config(),
        num_peers=2,
        output_dir=str(tmp_path / "out"),
        dataset=str(path),
    )
    with pytest.raises(UserError, match="needs KERAS_BACKEND=tensorflow"):
        comparison.compare(config, make_provenance())
    monkeypatch.undo()
    # Before the first training, which could take weeks.
    with pytest.raises(UserError, match="`training_batch_size` must be at mos"):
        comparison.compare(config, make_provenance())
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    monkeypatch.setattr(comparison, "_compare", lambda *_: "compared")
    given = dataclasses.replace(
        config, checkpoints={"resnet32": "cifar10_resnet32"}
    )
    assert comparison.compare(given, make_provenance()) == "compared"
    # Another comparison, or a training, would overwrite its record.
    for changes in ({"num_peers": 3}, {"num_graphs": (1, 2)}):
        other = dataclasses.replace(given, **changes)
        with pytest.raises(UserError, match="holds a run with num_"):
            comparison.compare(other, make_provenance())


@pytest.mark.slow
def test_a_row_with_its_real_network(rng, tmp_path):
    images = rng.integers(0, 255, (24, 12, 12, 3)).astype(np.uint8)
    labels = np.arange(24) % 3
    path = tmp_path / "images.npz"
    np.savez(
        path,
        x_train=images,
        y_train=labels,
        x_test=images[:8],
        y_test=labels[:8],
    )
    challenge = Config(num_steps=2)
    row = table6.rows(challenge, table6.BUDGETS["smoke"], "identity")[-1]
    settings = dataclasses.replace(row.settings, training_batch_size=8)
    row = dataclasses.replace(row, settings=settings, start=None)
    record = comparison.compare(
        comparison.CompareConfig(
            rows=(row,),
            budget="smoke",
            attack=challenge,
            num_peers=8,
            output_dir=str(tmp_path / "out"),
            dataset=str(path),
        ),
        make_provenance(),
    )
    (found,) = record.rows
    assert found.key == "pr_resnet32_bpda"
    assert found.steps == (2,)
    assert [case.backward for case in found.cases] == ["exact", "identity"]
    assert found.threat_model.defended.seed == (3, 0)
    assert record.test_size == 8
