"""The challenge's attack, and the folders of its evaluations."""

import dataclasses
import pathlib

import numpy as np
import pytest
from sample_records import make_provenance

from madry_challenge import evaluation, saved_models
from madry_challenge.config import Config
from peernets_tf import models, records
from peernets_tf.records import paper

# The test images are small, so that few PGD steps suffice.
SETTINGS = Config(epsilon=90.0, num_steps=2, step_size=45.0, eval_batch_size=30)


@pytest.fixture(scope="module")
def model(stripes):
    return models.build("lenet5", stripes.train.images.shape[1:], 3)


def test_the_evaluation_is_that_of_the_configuration():
    settings = Config(num_eval_examples=20, eval_batch_size=7, tf_random_seed=3)
    found = evaluation.evaluation_of(
        settings, output_dir="out", backward="soft"
    )
    assert found.attack.name == "pgd"
    assert found.attack.epsilons == (8 / 255,)
    assert found.attack.options["keep_best"] is False
    assert (found.test_size, found.batch_size, found.seed) == (20, 7, 3)
    assert (found.backward, found.output_dir) == ("soft", "out")


def test_provenance_names_what_the_configuration_filled_in():
    provenance = make_provenance(flags={"seed": None, "watch": True})
    settings = Config(tf_random_seed=5, eval_batch_size=7)
    found = evaluation.with_settings(provenance, settings)
    assert found.seed == 5
    assert found.flags == {
        "seed": 5,
        "watch": True,
        "num_eval_examples": 10_000,
        "eval_batch_size": 7,
        "attack": paper.CHALLENGE_ATTACK,
    }


def test_each_attack_has_a_folder_of_its_own(stripes, model, tmp_path):
    path = str(tmp_path / "model.keras")
    models.save(model, path)
    config = evaluation.EvaluateConfig(
        checkpoint=path, settings=SETTINGS, output_dir=str(tmp_path / "out")
    )
    other = dataclasses.replace(
        config, settings=dataclasses.replace(SETTINGS, random_start=False)
    )
    (first,), (second,), (again,) = (
        evaluation.evaluate_model(
            model, path, stripes, asked, make_provenance()
        )
        for asked in (config, other, config)
    )
    found = sorted((tmp_path / "out").glob("*/attack_exact_*/record.json"))
    assert len(found) == 2
    assert first.cases == again.cases
    read = {records.read(str(path)).cases for path in found}
    assert read == {again.cases, second.cases}


def test_it_watches_past_a_model_that_diverged(
    npz_path, model, tmp_path, monkeypatch, capsys
):
    good, diverged = tmp_path / "model.keras", tmp_path / "model-000300.keras"
    models.save(model, str(good))
    broken = models.load(good)
    broken.layers[-1].bias.assign(np.full(3, np.nan))
    broken.save(diverged)  # `models.save` refuses it.
    monkeypatch.setattr(
        saved_models, "watch", lambda *_: iter([str(diverged), str(good)])
    )
    evaluation.evaluate(
        evaluation.EvaluateConfig(
            checkpoint=str(tmp_path),
            settings=SETTINGS,
            output_dir=str(tmp_path / "out"),
            watch_seconds=0.1,
            dataset=npz_path,
        ),
        make_provenance(),
    )
    assert f"{diverged}: " in capsys.readouterr().err
    (path,) = pathlib.Path(tmp_path / "out").glob("*/*/record.json")
    assert records.read(str(path)).checkpoint == str(good)
