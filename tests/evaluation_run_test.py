"""One evaluation: its record and its folder."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import sample_records
from keras import ops
from run_evaluation import PGD, evaluate
from small_models import make_linear, make_peernet

from peernets_tf import (
    evaluation,
    models,
    monte_carlo,
    records,
)
from peernets_tf.adaptive import Ablation
from peernets_tf.errors import UserError
from peernets_tf.evaluation import AttackConfig, EvaluationConfig, GraphsConfig


@pytest.fixture(scope="module")
def linear():
    return make_linear()


@pytest.fixture(scope="module")
def peernet(stripes):
    return make_peernet(stripes)


def test_the_record(linear, stripes, tmp_path, capsys):
    record = evaluate(linear, stripes, tmp_path, seed=3)
    assert records.read(str(tmp_path / "record.json")) == record
    assert record.weights_sha256 == models.weights_sha256(linear)
    assert dataclasses.replace(record, cases=(), provenance=None) == (
        records.AttackRecord(
            model="linear",
            checkpoint="model.keras",
            weights_sha256=record.weights_sha256,
            dataset=stripes.name,
            test_size=30,
            attack="pgd",
            is_universal=False,
            follows_gradient=True,
            backward="exact",
            threat_model=None,
            cases=(),
            provenance=None,
        )
    )
    assert record.provenance.commit == "abc"
    assert record.provenance.seconds > 0
    weak, strong = record.cases
    assert (weak.epsilon, strong.epsilon) == (0.1, 0.6)
    assert weak.total == weak.correct == 30
    assert weak.fooled < strong.fooled == 30
    assert weak.zero_gradients == 0
    printed = capsys.readouterr().out
    assert f"Attacking linear on {stripes.name} with pgd" in printed
    evaluation.print_report([str(tmp_path)])
    printed = capsys.readouterr().out
    assert printed == records.report([str(tmp_path / "record.json")]) + "\n"


def test_noise_is_a_weak_control(linear, stripes, tmp_path):
    noise = AttackConfig(name="noise", epsilons=(0.6,))
    record = evaluate(linear, stripes, tmp_path, noise, test_size=20)
    (case,) = record.cases
    assert case.total == 20
    assert case.fooled == 0
    assert case.zero_gradients is None
    assert not record.follows_gradient


def test_square_is_a_black_box(linear, stripes, tmp_path):
    square = AttackConfig(
        name="square", epsilons=(0.6,), options={"queries": 30}
    )
    record = evaluate(linear, stripes, tmp_path, square)
    (case,) = record.cases
    assert not record.follows_gradient
    assert case.zero_gradients is None
    assert case.fooled > 0
    assert case.mean_loss > 0
    # Images that are fooled are asked no more.
    assert case.total < case.queries < 30 * case.total


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("finite_difference", {"num_groups": 12, "loss": "cross_entropy"}),
        ("finite_difference", {"num_components": 5, "delta": 0.02}),
        ("nes", {"samples": 20, "stop_when_fooled": True}),
        ("spsa", {"samples": 20, "learning_rate": 0.2, "delta": 0.05}),
    ],
)
def test_attacks_that_estimate_gradients(
    name, options, linear, stripes, tmp_path
):
    attack = AttackConfig(
        name=name, epsilons=(0.1, 0.7), steps=(4,), options=options
    )
    record = evaluate(linear, stripes, tmp_path, attack)
    weak, strong = record.cases
    assert not record.follows_gradient
    assert strong.zero_gradients is None
    assert weak.fooled < strong.fooled
    for option, value in options.items():
        assert f"{option}={value!r}" in strong.attack
    if name == "finite_difference":
        slopes = options.get("num_groups") or options["num_components"]
        # Two for each slope, and whether the new image fools.
        assert weak.queries == weak.total * 4 * (2 * slopes + 1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("apgd", {"loss": "dlr", "restarts": 2, "expectation": 2}),
        ("fab", {"num_targets": 1}),
    ],
)
def test_attacks_of_autoattack(name, options, linear, stripes, tmp_path):
    """Both fool from about the same radius on."""
    attack = AttackConfig(
        name=name, epsilons=(0.3, 0.6), steps=(6,), options=options
    )
    record = evaluate(linear, stripes, tmp_path, attack)
    weak, strong = record.cases
    assert record.follows_gradient
    assert weak.fooled < strong.fooled == strong.correct == 30
    for option, value in options.items():
        assert f"{option}={value!r}" in strong.attack


def test_search(linear, stripes, tmp_path):
    search = AttackConfig(name="fgsm", search=True)
    (case,) = evaluate(linear, stripes, tmp_path, search).cases
    assert case.epsilon is None
    assert case.fooled == case.correct == 30
    # The darkest pixels of a stripe are 180 / 255 brighter than the others.
    assert 45 < case.mean_linf < 128


@pytest.mark.parametrize("name", ["universal.deepfool", "universal.gradient"])
def test_a_universal_perturbation_and_its_file(name, linear, stripes, tmp_path):
    attack = AttackConfig(
        name=name, rhos=(0.3, 0.9), train_size=60, options={"passes": 8}
    )
    record = evaluate(linear, stripes, tmp_path / "fitted", attack)
    assert record.is_universal
    weak, strong = record.cases
    assert weak.changed < strong.changed
    assert "on 60 training images" in strong.attack
    path = tmp_path / "fitted" / "perturbation_rho_0.9.npy"
    perturbation = np.load(path)
    assert np.linalg.norm(perturbation) <= strong.epsilon * (1 + 1e-6)
    picture = keras.utils.load_img(path.with_suffix(".png"))
    assert np.asarray(picture).shape == (12, 12, 3)

    file = AttackConfig(name="universal.file", perturbation=str(path))
    record = evaluate(linear, stripes, tmp_path / "file", file)
    assert record.is_universal
    assert not record.follows_gradient
    (case,) = record.cases
    assert case.changed == strong.changed
    assert case.epsilon == pytest.approx(np.linalg.norm(perturbation))


def test_interrupted_equals_uninterrupted(linear, stripes, tmp_path):
    whole = evaluate(linear, stripes, tmp_path)
    log = tmp_path / "batches.jsonl"
    text = log.read_text()
    lines = text.splitlines(keepends=True)
    # Three batches of unperturbed images, then three for each epsilon.
    assert len(lines) == 9
    log.write_text("".join(lines[:5]) + lines[5][:9])
    later = sample_records.make_provenance(commit="later")
    config = EvaluationConfig(
        attack=PGD, output_dir=str(tmp_path), batch_size=12
    )
    resumed = evaluation.evaluate(
        linear, stripes, config, checkpoint="model.keras", provenance=later
    )
    assert resumed.cases == whole.cases
    assert log.read_text() == text
    # The figures are of the code that began.
    assert resumed.provenance.commit == "abc"


def test_a_second_start_leaves_the_record(linear, stripes, tmp_path):
    """It would have the time of the second start, which did nothing."""
    first = evaluate(linear, stripes, tmp_path)
    assert evaluate(linear, stripes, tmp_path) == first
    assert records.read(str(tmp_path / "record.json")) == first


def test_the_record_of_something_else_stays(linear, stripes, tmp_path):
    path = tmp_path / "record.json"
    path.write_text("of the training")
    with pytest.raises(UserError, match="holds a record.json that is not of"):
        evaluate(linear, stripes, tmp_path)
    assert path.read_text() == "of the training"


def test_a_folder_is_for_one_evaluation(linear, stripes, tmp_path):
    evaluate(linear, stripes, tmp_path, batch_size=10, test_size=10)
    for changes, key in (
        ({"seed": 1}, "seed"),
        ({"test_size": 9}, "test_size"),
        ({"batch_size": 5}, "batch_size"),
        ({"attack": AttackConfig(name="pgd")}, "attacks"),
    ):
        same = {"batch_size": 10, "test_size": 10}
        with pytest.raises(UserError, match=f"{key}.*another --output_dir"):
            evaluate(linear, stripes, tmp_path, **{**same, **changes})


def identity(model, dataset, attack=PGD, **config):
    return evaluation.identity(
        model, dataset, EvaluationConfig(attack=attack, output_dir="", **config)
    )


def test_an_identity_is_json_and_holds_what_figures_depend_on(linear, stripes):
    found = identity(linear, stripes)
    assert json.loads(json.dumps(found)) == found
    # Also where they are the defaults.
    assert {
        "ablation",
        "config_sha256",
        "precision",
        "rejected_as",
        "transfer_config_sha256",
        "transfer_sha256",
    } <= found.keys()
    assert found["attacks"][0]["clip"] is True
    other = make_linear(scale=0.2)
    relu = keras.layers.ReLU()(linear.output)
    rectified = keras.Model(linear.input, relu, name=linear.name)
    assert models.weights_sha256(rectified) == models.weights_sha256(linear)
    changed = dataclasses.replace(stripes, sha256="other")
    fitted = AttackConfig(name="universal.gradient")
    for one, two in (
        (found, identity(other, stripes)),
        (found, identity(rectified, stripes)),
        (found, identity(linear, changed)),
        (
            identity(linear, stripes, fitted),
            identity(
                linear, stripes, dataclasses.replace(fitted, train_size=9)
            ),
        ),
    ):
        assert one != two


def test_stored_graphs_are_part_of_an_identity_if_they_are_used(
    peernet, stripes
):
    other = make_peernet(stripes, peers_seed=1)
    drawn = GraphsConfig(num_peers=6, num_graphs=2)
    assert identity(peernet, stripes) != identity(other, stripes)
    assert identity(peernet, stripes, graphs=drawn) == identity(
        other, stripes, graphs=drawn
    )
    # The attacker follows the stored graphs.
    fresh = GraphsConfig(policy="fresh")
    assert identity(peernet, stripes, graphs=fresh) != identity(
        other, stripes, graphs=fresh
    )


def test_expectation_over_graphs_is_repeated_by_its_seed(
    peernet, stripes, tmp_path
):
    attack = AttackConfig(
        name="pgd", epsilons=(0.1,), options={"steps": 2, "keep_best": False}
    )
    cases = []
    for i, expectation in enumerate((1, 1, None)):
        record = evaluate(
            peernet,
            stripes,
            tmp_path / str(i),
            attack,
            graphs=GraphsConfig(policy="drawn", expectation=expectation),
            test_size=12,
        )
        assert record.threat_model.expectation == expectation
        assert record.threat_model.attacker.num_graphs == 10
        cases.append(record.cases[0])
    assert cases[0] == cases[1]
    assert cases[0].mean_loss != cases[2].mean_loss


def test_an_ablation_changes_predictions_and_is_recorded(
    peernet, stripes, tmp_path
):
    attack = AttackConfig(name="noise", epsilons=(0.1,))
    graphs = GraphsConfig(num_graphs=2)
    rows = []
    for ablation in (
        Ablation(),
        Ablation(name="no_layers"),
        Ablation(num_neighbors=1),
    ):
        folder = tmp_path / repr(ablation)
        record = evaluate(
            peernet, stripes, folder, attack, graphs=graphs, ablation=ablation
        )
        assert record.ablation == ablation.name
        assert record.num_neighbors == ablation.num_neighbors
        assert record.is_ablated == bool(ablation)
        rows.append(record.cases[0].mean_loss)
    assert len(set(rows)) == 3
    # And nothing is left of it.
    again = evaluate(
        peernet, stripes, tmp_path / "again", attack, graphs=graphs
    )
    assert again.cases[0].mean_loss == rows[0]
    with pytest.raises(UserError, match="stored graphs have from the whole"):
        evaluate(
            peernet,
            stripes,
            tmp_path / "stored",
            attack,
            ablation=Ablation(name="no_layers"),
        )


def test_neighbor_guided_needs_the_labels_of_the_attackers_peers(
    peernet, linear, stripes, tmp_path
):
    attack = AttackConfig(
        name="neighbor_guided",
        epsilons=(0.3,),
        options={"steps": 2, "steps_per_choice": 1, "guides_per_pixel": 2},
    )
    record = evaluate(
        peernet,
        stripes,
        tmp_path / "drawn",
        attack,
        graphs=GraphsConfig(num_peers=12, num_graphs=1),
        test_size=12,
    )
    (case,) = record.cases
    assert record.follows_gradient
    assert case.zero_gradients is None
    assert case.attack.startswith("NeighborGuided(epsilon=0.3, ")
    with pytest.raises(UserError, match="labels of the attacker's peers"):
        evaluate(peernet, stripes, tmp_path / "stored", attack)
    with pytest.raises(UserError, match="linear has no PeerReg"):
        evaluate(linear, stripes, tmp_path / "linear", attack)


@pytest.mark.parametrize("policy", ["known", "drawn", "fresh"])
def test_predictions_use_the_defended_graphs(
    policy, peernet, stripes, tmp_path
):
    graphs = GraphsConfig(policy=policy, num_graphs=2, attack_graphs=1)
    before = models.weights_sha256(peernet)
    attack = AttackConfig(name="fgsm", epsilons=(0.1,))
    record = evaluate(
        peernet, stripes, tmp_path, attack, graphs=graphs, backward="identity"
    )
    assert models.weights_sha256(peernet) == before == record.weights_sha256
    assert record.backward == "identity"
    chosen = evaluation.choose_graphs(
        peernet, stripes.train.images, graphs, seed=0
    )
    assert record.threat_model == chosen.record
    logits = monte_carlo(peernet, chosen.defended)(stripes.test.images)
    expected = ops.convert_to_numpy(ops.argmax(logits, axis=1)).tolist()
    rows = [
        json.loads(line)
        for line in (tmp_path / "batches.jsonl").read_text().splitlines()
    ]
    found = [row["predictions"] for row in rows if "predictions" in row]
    assert sum(found, []) == expected


def test_stopping_needs_the_graphs_that_predictions_use(
    peernet, stripes, tmp_path
):
    one = GraphsConfig(attack_graphs=1)
    for attack in (
        AttackConfig(name="pgd", options={"stop_when_fooled": True}),
        AttackConfig(name="fgsm", search=True),
        AttackConfig(name="apgd"),
        AttackConfig(name="fab"),
    ):
        with pytest.raises(UserError, match="graphs of the predictions"):
            evaluate(peernet, stripes, tmp_path, attack, graphs=one)
    some = GraphsConfig(expectation=1)
    with pytest.raises(UserError, match="graphs of the predictions"):
        evaluate(
            peernet,
            stripes,
            tmp_path,
            AttackConfig(name="fgsm", search=True),
            graphs=some,
        )
    for name, graphs in (
        ("deepfool", GraphsConfig(policy="drawn")),
        ("deepfool", some),
    ):
        with pytest.raises(UserError, match="graphs of the predictions"):
            evaluate(
                peernet,
                stripes,
                tmp_path,
                AttackConfig(name=name),
                graphs=graphs,
            )
    goes_on = AttackConfig(
        name="apgd", steps=(2,), options={"stop_when_fooled": False}
    )
    record = evaluate(
        peernet, stripes, tmp_path, goes_on, graphs=one, test_size=10
    )
    assert record.cases[0].total == 10
