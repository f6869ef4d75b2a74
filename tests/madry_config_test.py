"""The challenge's config.json: what is read, and what is refused."""

import dataclasses
import json

import pytest

from madry_challenge import config
from peernets_tf.errors import UserError
from peernets_tf.records import paper

# What the original's file holds, values as it publishes them.
ORIGINAL = """{
  "_comment": "===== MODEL CONFIGURATION =====",
  "model_dir": "models/adv_trained",

  "_comment": "===== DATA CONFIGURATION =====",
  "data_path": "cifar10_data",

  "_comment": "===== TRAINING CONFIGURATION =====",
  "tf_random_seed": 451760341,
  "np_random_seed": 216105420,
  "random_seed": 4557077,
  "max_num_training_steps": 80000,
  "num_output_steps": 100,
  "num_summary_steps": 100,
  "num_checkpoint_steps": 300,
  "training_batch_size": 128,
  "step_size_schedule": [[0, 0.1], [40000, 0.01], [60000, 0.001]],
  "weight_decay": 0.0002,
  "momentum": 0.9,

  "_comment": "===== EVAL CONFIGURATION =====",
  "num_eval_examples": 10000,
  "eval_batch_size": 128,
  "eval_on_cpu": false,

  "_comment": "=====ADVERSARIAL EXAMPLES CONFIGURATION=====",
  "epsilon": 8.0,
  "num_steps": 10,
  "step_size": 2.0,
  "random_start": true,
  "loss_func": "xent",
  "store_adv_path": "attack.npy"
}"""


def test_the_originals_file_is_the_default(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(ORIGINAL)
    assert config.read(str(path)) == config.Config(tf_random_seed=451760341)


def test_missing_keys_have_defaults(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"num_steps": 20, "step_size": 1.0}')
    expected = config.Config(num_steps=20, step_size=1.0)
    assert config.read(str(path)) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epsilom": 8}, "epsilom"),
        ({"epsilon": -1}, "epsilon must be finite, at least 0"),
        ({"epsilon": float("inf")}, "numbers must be finite"),
        (
            {"training_batch_size": 0},
            "training_batch_size must be finite, at",
        ),
        ({"loss_func": "mse"}, "loss_func must be one of xent, cw"),
        ({"step_size_schedule": [[10, 0.1]]}, "ascending steps that begin"),
        ({"step_size_schedule": []}, "ascending steps that begin"),
        ({"step_size_schedule": [0.1]}, "not a configuration"),
        ({"step_size_schedule": [[0, -0.1]]}, "rates of at least 0"),
        ({"step_size_schedule": [[0, "0.1"]]}, "pairs of an int and"),
        (
            {"step_size_schedule": [[0, 0.1], [2.7, 0.01]]},
            "pairs of an int and",
        ),
        (
            {"num_steps": "ten"},
            "num_steps must be of type int",
        ),
        ({"num_steps": 2.5}, "of type int. Received: 2.5"),
        ({"random_start": "false"}, "random_start must be of type bool"),
        ({"tf_random_seed": -1}, "tf_random_seed must be finite, at"),
        ({"tf_random_seed": 2**31}, "tf_random_seed must be finite, at"),
        ({"num_steps": 10**400}, "integers must fit into 64 bits"),
        ({"epsilon": 256}, "epsilon must be finite, at least 0 and at most"),
        ({"step_size": 10**400}, "integers must fit into 64 bits"),
        (
            {"step_size_schedule": [[0, 10**400]]},
            "integers must fit into 64 bits",
        ),
        ({"momentum": 1.0}, "momentum must be below 1"),
        ([], "not a configuration"),
    ],
)
def test_refuses_other_files(values, message, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        config.read(str(path))


def test_refuses_a_file_that_is_not_json(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{")
    with pytest.raises(UserError, match="config.json"):
        config.read(str(path))


def test_written_and_read(tmp_path):
    settings = config.Config(step_size_schedule=((0, 0.5), (3, 0.1)))
    path = str(tmp_path / "config.json")
    settings.write(path)
    assert config.read(path) == settings


def test_every_key_is_described():
    for field in dataclasses.fields(config.Config):
        assert field.metadata["description"], field.name


def test_integers_stand_for_floats(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"epsilon": 8, "momentum": 0}')
    found = config.read(str(path))
    assert found == config.Config(momentum=0.0)
    assert isinstance(found.momentum, float)
    path.write_text('{"step_size_schedule": [[0, 1], [5, 0.1]]}')
    schedule = config.read(str(path)).step_size_schedule
    assert schedule == ((0, 1.0), (5, 0.1))
    # Keras refuses an int.
    assert all(isinstance(rate, float) for _, rate in schedule)


def test_the_attack_is_the_papers():
    attack = config.attack_of(config.Config())
    assert repr(attack) == paper.CHALLENGE_ATTACK


def test_steps_of_zero():
    with pytest.raises(UserError, match="steps"):
        config.attack_of(config.Config(num_steps=0))
