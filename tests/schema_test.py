"""Records hold counts that make sense; rates are derived from them."""

import dataclasses

import pytest
from sample_records import THREAT_MODEL, make_case, make_training

from peernets_tf import records
from peernets_tf.errors import UserError


def test_accuracy_is_derived_from_counts():
    assert make_training().accuracy == 0.985
    assert "accuracy" not in dataclasses.asdict(make_training())


@pytest.mark.parametrize(
    ("start_epochs", "expected"), [(8, "8 + 1"), (None, "? + 1")]
)
def test_the_epochs_of_the_initial_model_come_first(start_epochs, expected):
    start = dataclasses.replace(
        make_training().initial_model, epochs=start_epochs
    )
    record = make_training(initial_model=start)
    assert record.epochs == expected
    assert record.total_epochs == (start_epochs and start_epochs + 1)
    alone = make_training(initial_model=None)
    assert (alone.epochs, alone.total_epochs) == ("1", 1)
    assert make_training(num_steps=10).total_epochs is None


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_training().correct = 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_size": 0, "correct": 0}, "test_size must be at least 1"),
        ({"correct": 201}, r"between 0 and test_size=200\. Received: 201"),
        ({"correct": -1}, r"between 0 and test_size=200\. Received: -1"),
    ],
)
def test_a_training_refuses_impossible_counts(changes, message):
    with pytest.raises(UserError, match=message):
        make_training(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total": 0}, "total must be at least 1. Received: 0"),
        ({"correct": 201}, "correct must lie between 0 and total=200"),
        ({"changed": -1}, "changed must lie between"),
        ({"adversarial_correct": 201}, "adversarial_correct must lie between"),
        ({"zero_gradients": 201}, "zero_gradients must lie between"),
        ({"fooled": 161}, "fooled must lie between 0 and correct=160"),
        ({"mean_loss": -0.1}, "mean_loss must be finite and at least 0"),
        ({"right": "f" * 50}, "right must name as many images as .*=100"),
        ({"right": "f" * 48}, "one bit for each of 200 images"),
        ({"right": "g" * 50}, "expected hexadecimal digits"),
    ],
)
def test_an_attack_refuses_impossible_counts(changes, message):
    with pytest.raises(UserError, match=message):
        make_case(**changes)


@pytest.mark.parametrize("expectation", [0, 11])
def test_no_more_graphs_are_drawn_than_the_attacker_has(expectation):
    assert THREAT_MODEL.attacker.num_graphs == 10
    dataclasses.replace(THREAT_MODEL, expectation=10)
    with pytest.raises(UserError, match="expectation must"):
        dataclasses.replace(THREAT_MODEL, expectation=expectation)


def test_a_case_without_a_correct_image_is_possible():
    case = make_case(correct=0, fooled=0, zero_gradients=None)
    assert case.correct == 0


def test_each_kind_has_a_name_of_its_own():
    kinds = {
        kind.kind
        for kind in (
            records.TrainingRecord,
            records.AttackRecord,
            records.SuiteRecord,
            records.ComparisonRecord,
            records.BenchmarkRecord,
            records.TrialsRecord,
        )
    }
    assert kinds == {
        "training",
        "attack",
        "suite",
        "comparison",
        "benchmark",
        "trials",
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tried": 0, "passed": 0}, "tried must be at least 1"),
        ({"passed": 4}, "passed must lie between 0 and tried=3"),
        ({"allowed": 4}, "allowed must lie between 0 and passed=3"),
    ],
)
def test_trials_refuse_impossible_counts(changes, message):
    fields = {"name": "kills", "tried": 3, "passed": 3, **changes}
    with pytest.raises(UserError, match=message):
        records.TrialGroup(**fields)
