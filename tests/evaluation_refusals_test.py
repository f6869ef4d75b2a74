"""What an evaluation refuses: settings, models and images that do not fit."""

import dataclasses

import keras
import pytest
from keras import ops
from run_evaluation import PGD, evaluate
from small_models import SHAPE, make_linear

from peernets_tf import (
    datasets,
    evaluation,
    models,
    monte_carlo,
    peers,
)
from peernets_tf.adaptive import Ablation
from peernets_tf.errors import AttackError, UserError
from peernets_tf.evaluation import AttackConfig, EvaluationConfig, GraphsConfig


@pytest.fixture(scope="module")
def linear():
    return make_linear()


@pytest.mark.parametrize(
    "config",
    [
        {"graphs": GraphsConfig(policy="drawn")},
        {"graphs": GraphsConfig(num_peers=5)},
        {"graphs": GraphsConfig(expectation=1)},
        {"backward": "identity"},
        {"ablation": Ablation(num_neighbors=1)},
    ],
    ids=str,
)
def test_settings_of_peers_need_peers(config, linear, stripes, tmp_path):
    with pytest.raises(UserError, match="linear has no PeerReg"):
        evaluate(linear, stripes, tmp_path, **config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"test_size": 0}, "test_size"),
        ({"backward": "surrogate"}, "one of"),
        ({"temperature": 0.1}, "backward=soft"),
        (
            {"backward": "soft", "attack": AttackConfig(name="noise")},
            "backward",
        ),
        (
            {
                "graphs": GraphsConfig(attack_graphs=1),
                "attack": AttackConfig(name="noise"),
            },
            "attack_graphs",
        ),
        (
            {
                "graphs": GraphsConfig(expectation=1),
                "attack": AttackConfig(name="square"),
            },
            "expectation",
        ),
        (
            {
                "graphs": GraphsConfig(policy="drawn"),
                "attack": AttackConfig(name="square"),
            },
            "policy",
        ),
    ],
    ids=str,
)
def test_refuses_bad_settings(config, message):
    with pytest.raises(UserError, match=message):
        EvaluationConfig(**{"attack": PGD, "output_dir": "", **config})


def test_refuses_a_model_that_does_not_fit(stripes, linear):
    evaluation.check_fits(linear, stripes)
    evaluation.check_fits(monte_carlo(linear), stripes)
    shapeless = peers.MonteCarlo(linear, name="shapeless")
    for model, message in (
        (models.build("lenet5", (12, 12, 3), 3), r"shape \(12, 12, 1\)"),
        (models.build("lenet5", SHAPE, 5), "3 logits"),
        (models.build("lenet5", SHAPE, 4), "lenet5 with 4 logits"),
        (monte_carlo(shapeless), "input shape"),
    ):
        with pytest.raises(UserError, match=message):
            evaluation.check_fits(model, stripes)


def test_refuses_several_outputs(stripes, linear):
    heads = keras.Model(linear.inputs, [linear.outputs[0], linear.outputs[0]])
    with pytest.raises(AttackError, match="one tensor.*Received: 2 outputs"):
        evaluation.check_fits(heads, stripes)


def test_refuses_more_components_than_there_are(linear, stripes, tmp_path):
    """Before a folder is claimed, so that the right number can be given."""
    attack = AttackConfig(
        name="finite_difference", options={"num_components": 500}
    )
    folder = tmp_path / "run"
    with pytest.raises(UserError, match="`num_components` must be from 1 to"):
        evaluate(linear, stripes, folder, attack)
    assert not folder.exists()


def test_refuses_a_softmax(linear, stripes, tmp_path):
    model = keras.Model(linear.inputs, ops.softmax(linear.outputs[0]))
    with pytest.raises(AttackError, match="softmax"):
        evaluate(model, stripes, tmp_path)


@pytest.mark.parametrize("averages", [False, True])
def test_refuses_a_sigmoid(averages, linear, stripes, tmp_path):
    last = keras.layers.Activation("sigmoid")(linear.outputs[0])
    model = keras.Model(linear.inputs, last)
    if averages:
        model = monte_carlo(model)
    with pytest.raises(AttackError, match="remove its sigmoid"):
        evaluate(model, stripes, tmp_path)


def test_warns_of_masked_gradients(linear, stripes, tmp_path, capsys):
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, linear(ops.round(4 * inputs)), name="masked")
    attack = AttackConfig(name="fgsm")
    (case,) = evaluate(model, stripes, tmp_path, attack).cases
    assert case.zero_gradients == 30
    assert "warning: at 30 of 30 images" in capsys.readouterr().err


class Counting(keras.layers.Layer):
    def build(self, shape):
        self.count = self.add_weight(name="count", trainable=False)

    def call(self, inputs):
        self.count.assign(self.count + 1)
        return inputs


def test_refuses_weights_that_change(linear, stripes, tmp_path):
    inputs = keras.Input(SHAPE)
    model = keras.Model(inputs, Counting()(linear(inputs)), name="counting")
    (counting,) = (x for x in model.layers if isinstance(x, Counting))
    # The first start leaves nothing that a second one could take for sound.
    for _ in range(2):
        counting.count.assign(0)
        with pytest.raises(AttackError, match="must not change"):
            evaluate(model, stripes, tmp_path, AttackConfig(name="fgsm"))


def test_takes_a_model_of_any_size(stripes, tmp_path):
    inputs = keras.Input((None, None, 1))
    x = keras.layers.GlobalAveragePooling2D()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    record = evaluate(model, stripes, tmp_path, AttackConfig(name="fgsm"))
    assert record.cases[0].total == 30


def test_refuses_a_model_of_larger_numbers(linear, stripes, tmp_path):
    inputs = keras.Input(SHAPE)
    scaled = keras.layers.Rescaling(1 / 255)(inputs)
    model = keras.Model(inputs, linear(scaled))
    with pytest.raises(UserError, match=r"Rescaling\(255\) in front of it"):
        evaluate(model, stripes, tmp_path)
    wrapped = keras.Sequential(
        [keras.Input(SHAPE), keras.layers.Rescaling(255), model]
    )
    evaluate(wrapped, stripes, tmp_path, AttackConfig(name="fgsm"))


def test_refuses_images_out_of_range(linear, stripes, tmp_path):
    test = datasets.Split(
        images=stripes.test.images * 255, labels=stripes.test.labels
    )
    dataset = dataclasses.replace(stripes, test=test)
    with pytest.raises(AttackError, match="must lie in"):
        evaluate(linear, dataset, tmp_path)
