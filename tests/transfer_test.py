"""Adversarial images that are made on another model."""

import keras
import pytest
import sample_records
from small_models import SHAPE, make_linear, make_peernet

from peernets_tf import PeerRegularization, evaluation
from peernets_tf.adaptive import Ablation
from peernets_tf.errors import AttackError, UserError
from peernets_tf.evaluation import AttackConfig, EvaluationConfig, GraphsConfig

PGD = AttackConfig(name="pgd", epsilons=(0.1, 0.6), options={"steps": 4})
ONE_GRAPH = GraphsConfig(num_graphs=1)


@pytest.fixture
def linear():
    return make_linear()


@pytest.fixture
def peernet(stripes):
    return make_peernet(stripes)


@pytest.fixture
def transfer(stripes, tmp_path):
    """Attacks a model by images that are made on another one, or on itself."""
    folders = (tmp_path / str(number) for number in range(9))

    def transfer(model, other, **config):
        return evaluation.evaluate(
            model,
            stripes,
            EvaluationConfig(
                attack=PGD,
                output_dir=str(next(folders)),
                **{"transfer_from": other and "other.keras", **config},
            ),
            checkpoint="model.keras",
            provenance=sample_records.make_provenance(seconds=None),
            transfer_model=other,
        )

    return transfer


def test_an_equal_gradient_fools_as_well_and_the_opposite_one_helps(
    linear, transfer
):
    direct = transfer(linear, None)
    same = transfer(linear, make_linear(scale=0.2))
    opposite = transfer(linear, make_linear(scale=-0.1))
    assert (direct.transfer_from, same.transfer_from) == (None, "other.keras")
    fooled = [
        [case.fooled for case in record.cases]
        for record in (direct, same, opposite)
    ]
    assert fooled[0] == fooled[1]
    assert fooled[2] == [0, 0] != fooled[0]


def test_the_other_model_is_part_of_the_identity(linear, stripes):
    config = EvaluationConfig(attack=PGD, output_dir="")
    found = [
        evaluation.identity(linear, stripes, config, other)
        for other in (None, linear, make_linear(scale=0.2))
    ]
    assert found[0] != found[1] != found[2]


def test_each_model_has_its_own_backward_pass_and_graphs(
    linear, peernet, transfer
):
    onto = transfer(peernet, linear, graphs=ONE_GRAPH)
    assert onto.threat_model.defended.num_graphs == 1
    from_peers = transfer(linear, peernet, backward="identity")
    assert from_peers.threat_model is None
    assert from_peers.backward == "identity"
    with pytest.raises(UserError, match="linear has no PeerReg"):
        transfer(peernet, linear, backward="identity")


def test_an_ablation_changes_the_attacked_model_alone(
    peernet, stripes, transfer
):
    ablated = transfer(
        peernet,
        make_peernet(stripes),
        ablation=Ablation(name="no_layers"),
        graphs=ONE_GRAPH,
    )
    x = inputs = keras.Input(SHAPE)
    for layer in peernet.layers[1:]:
        if not isinstance(layer, PeerRegularization):
            x = layer(x)
    without = keras.Model(inputs, x, name=peernet.name)
    assert ablated.cases == transfer(without, make_peernet(stripes)).cases


def test_a_softmax_is_refused(linear, transfer):
    inputs = keras.Input(SHAPE)
    softmax = keras.Model(inputs, keras.layers.Softmax()(linear(inputs)))
    with pytest.raises(AttackError, match="softmax"):
        transfer(linear, softmax)


def test_a_name_needs_its_model(linear, transfer):
    with pytest.raises(UserError, match="the model that transfer_from names"):
        transfer(linear, None, transfer_from="other.keras")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"attack": AttackConfig(name="noise")}, "same images on every"),
        ({"attack": AttackConfig(name="neighbor_guided")}, "needs the peers"),
        ({"attack": AttackConfig(name="fab")}, "stops at an image"),
        ({"attack": AttackConfig(name="apgd")}, "--nostop_when_fooled"),
        ({"attack": AttackConfig(name="pgd", search=True)}, "--search"),
        ({"graphs": GraphsConfig(policy="drawn")}, "no graphs of this model"),
        ({"graphs": GraphsConfig(policy="fresh")}, "no graphs of this model"),
        ({"graphs": GraphsConfig(expectation=2)}, "--graph_expectation"),
    ],
)
def test_what_cannot_be_made_on_another_model(config, message):
    with pytest.raises(UserError, match=message):
        EvaluationConfig(
            **{"attack": PGD, **config}, transfer_from="a", output_dir=""
        )
