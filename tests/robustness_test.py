"""Robust accuracy of models whose robustness is known, and planted faults."""

import bank_test
import keras
import numpy as np
import pytest
import suite_models
from commands import run_python
from keras import ops
from small_models import make_peernet

import peernets_tf
from peernets_tf import PeerRegularization, evaluation, records
from peernets_tf.errors import AttackError, UserError

SETTINGS = {"epsilon": 0.05, "budget": 0.04, "batch_size": 12}


@pytest.fixture(scope="module")
def images():
    return suite_models.make_images()


@pytest.fixture(scope="module")
def linear():
    return suite_models.make_linear()


def run(model, images, suite="adaptive", **settings):
    return peernets_tf.robust_accuracy(
        model, *images, suite=suite, **{**SETTINGS, **settings}
    )


@pytest.fixture(scope="module")
def found(linear, images):
    """The suite's result for the linear model."""
    return run(linear, images)


def verdicts(result):
    return {check.name: check.verdict for check in result.checks}


def test_the_robustness_of_a_linear_model(found, images):
    expected = suite_models.robust(*images, 0.05, "linf")
    assert 0 < expected.sum() < len(expected)
    np.testing.assert_array_equal(found.robust, expected)
    assert found.correct.all()
    assert found.clean_accuracy == 1
    assert found.robust_accuracy == expected.mean()
    low, high = found.interval
    assert low < expected.mean() < high
    assert not found.failed


def test_the_robustness_of_a_linear_model_in_l2(linear, images):
    found = run(linear, images, norm="l2", epsilon=0.3)
    expected = suite_models.robust(*images, 0.3, "l2")
    assert 0 < expected.sum() < len(expected)
    np.testing.assert_array_equal(found.robust, expected)


@pytest.mark.parametrize("suite", ["autoattack", "rand"])
def test_the_suites_of_autoattack(suite, linear, images):
    found = run(linear, images, suite=suite)
    expected = suite_models.robust(*images, 0.05, "linf")
    np.testing.assert_array_equal(found.robust, expected)
    assert not found.failed
    counted = [case for case in found.result.cases if case.is_counted]
    names = {
        "autoattack": ["apgd-ce", "apgd-t", "fab-t", "square"],
        "rand": ["apgd-ce", "apgd-dlr"],
    }
    assert [case.name for case in counted] == names[suite]
    # Each but the first attacks only what is left.
    lefts = [found.result.correct, *(case.robust for case in counted[:-1])]
    assert [case.attacked for case in counted] == lefts
    # Targets are the wrong classes, of which there are three.
    for case in counted:
        if case.name in ("apgd-t", "fab-t"):
            assert "num_targets=3" in case.attack
        # Two calls of this model do not differ.
        if suite == "rand":
            assert "expectation=1," in case.attack


def test_the_suite_of_table_7(linear, images):
    """On a linear model a black box sees what a white box sees."""
    found = run(linear, images, suite="table7", epsilon=None, budget=0.2)
    outcomes = found.outcomes
    rows = [name for name in outcomes if name.count("-") == 1]
    assert len(rows) == 4
    assert not any("identity" in name for name in outcomes)
    for row in rows:
        np.testing.assert_array_equal(outcomes[f"{row}-delta-1"], outcomes[row])
        # All images are attacked.
        assert outcomes[row].min() >= 0
    fooled = [(outcomes[row] == 1).sum() for row in rows]
    # A half, 8 and 12 on the 0-255 pixel scale.
    assert fooled[1] < fooled[2] < fooled[3]
    # The worst case is that at 8, of white and black boxes.
    at_8 = [name for name in outcomes if name.split("-")[1] == "8"]
    left = np.all([outcomes[name] == 0 for name in at_8], axis=0)
    np.testing.assert_array_equal(found.robust, left)
    assert np.all(left[suite_models.robust(*images, 8 / 255, "linf")])
    assert found.result.epsilon == 8 / 255
    black = next(
        case for case in found.result.cases if case.name == "single-8-delta-4"
    )
    assert black.queries == 24 * (2 * images[0][0].size + 1)
    assert verdicts(found)["iterative beats single-step"] == "passed"
    assert verdicts(found)["white-box beats black-box and transfer"] == "passed"


def test_outcomes_and_counts_agree(found):
    result = found.result
    assert list(found.outcomes) == [case.name for case in result.cases]
    left = found.correct.copy()
    for case in result.cases:
        outcome = found.outcomes[case.name]
        assert case.attacked == np.sum(outcome >= 0)
        assert case.fooled == np.sum(outcome == 1)
        if case.is_counted:
            left &= outcome != 1
        assert case.robust == left.sum()
    np.testing.assert_array_equal(found.robust, left)
    assert result.total == 24
    assert (result.suite, result.norm, result.epsilon) == (
        "adaptive",
        "linf",
        0.05,
    )
    assert "worst case" in str(found)
    assert "large enough ball" in str(found)


def test_later_attacks_only_attack_what_is_left(found):
    assert np.all(found.outcomes["pgd"] >= 0)
    left = (found.outcomes["noise"] != 1) & (found.outcomes["fgsm"] != 1)
    left &= found.outcomes["pgd"] != 1
    assert not left.all()
    np.testing.assert_array_equal(found.outcomes["apgd-ce"] >= 0, left)


def test_images_that_are_classified_wrongly_are_not_attacked(linear, images):
    labels = images[1].copy()
    labels[:3] = (labels[:3] + 1) % 4
    found = run(linear, (images[0], labels), budget=0.01)
    assert found.correct.tolist() == [False] * 3 + [True] * 21
    assert not found.robust[:3].any()
    for outcome in found.outcomes.values():
        assert np.all(outcome[:3] == -1)
    assert {case.attacked for case in found.result.cases} <= set(range(22))


def test_the_budget_scales_steps_queries_and_restarts(linear, images):
    found = run(linear, images, budget=0.02)
    attacks = {case.name: case.attack for case in found.result.cases}
    assert "steps=1," in attacks["pgd"]
    assert "steps=4," in attacks["pgd-margin"]
    assert "restarts=1," in attacks["pgd-margin"]
    assert "queries=100," in attacks["square"]
    assert found.result.budget == 0.02


def test_a_function_is_a_model_too_and_equal_seeds_give_equal_outcomes(
    found, linear, images
):
    again = run(lambda x: linear(x), images)
    assert again.result == found.result
    for name, outcome in again.outcomes.items():
        np.testing.assert_array_equal(outcome, found.outcomes[name])


def test_a_stopped_gradient_is_found(images):
    found = run(suite_models.plant("stop_gradient"), images)
    failed = [check.name for check in found.failed]
    assert failed == [
        "no gradient is exactly zero",
        "white-box beats black-box and transfer",
        "random noise is weakest",
        "a large enough ball fools all",
    ]
    # Square sees no gradient: what it fools, a white box must fool, too.
    assert found.robust_accuracy < 1


def test_a_softmax_is_found_and_attacked_through_logits(found, images):
    softmax = run(suite_models.plant("softmax"), images)
    assert [check.name for check in softmax.failed] == ["outputs are logits"]
    # Where no probability was rounded, nothing is lost.
    np.testing.assert_array_equal(softmax.robust, found.robust)


def test_a_softmax_in_float16_is_found(linear, images):
    def probabilities(x):
        return ops.cast(ops.softmax(200 * linear(x)), "float16")

    found = run(probabilities, images, suite="rand")
    assert verdicts(found)["outputs are logits"] == "failed"


def test_scaled_logits_are_found(images):
    found = run(suite_models.plant("scaled"), images)
    failed = {check.name for check in found.failed}
    assert "no gradient is exactly zero" in failed
    assert "a large enough ball fools all" in failed


def test_a_random_forward_pass_is_found(images):
    random = suite_models.plant("random")
    found = run(random, images, suite="autoattack", budget=0.01)
    assert "attacks allow for randomness" in [c.name for c in found.failed]


@pytest.mark.parametrize("fault", ["random", "keyed"])
def test_averaging_attacks_suit_a_random_model(fault, images):
    found = run(suite_models.plant(fault), images, suite="rand")
    assert verdicts(found)["attacks allow for randomness"] == "passed"
    assert all(
        "expectation=20" in case.attack
        for case in found.result.cases
        if case.name.startswith("apgd") and case.attacked
    )
    expected = suite_models.robust(*images, 0.05, "linf")
    # Images at a boundary fall on either side of it.
    assert np.mean(found.robust == expected) > 0.9


def test_a_random_model_is_judged_by_the_mean_of_its_draws(images):
    """One draw would call many images of small margin wrong."""
    random = suite_models.plant("random")
    found = run(random, images, suite="rand", epsilon=1e-4, budget=0.01)
    assert found.correct.mean() > 0.9


def test_a_model_that_nothing_is_planted_in_passes(found):
    assert set(verdicts(found).values()) == {"passed"}


def test_transfer_uses_another_model(linear, images):
    """Images made on the linear model fool one without a gradient."""
    masked = suite_models.plant("stop_gradient")
    found = run(masked, images, transfer_model=linear)
    expected = suite_models.robust(*images, 0.05, "linf")
    np.testing.assert_array_equal(found.robust, expected)
    (case,) = [c for c in found.result.cases if c.access == "transfer"]
    assert case.fooled > 0
    assert verdicts(found)["white-box beats black-box and transfer"] == "failed"


def test_a_transfer_model_is_for_adaptive_and_all_classes(linear, images):
    two = keras.Sequential([linear, keras.layers.Dense(2)])
    with pytest.raises(AttackError, match="each of the model's 4 cla.*ived: 2"):
        run(linear, images, transfer_model=two)
    with pytest.raises(UserError, match="is for suite='adaptive'"):
        run(linear, images, suite="rand", transfer_model=linear)


def test_a_transfer_model_must_have_logits(linear, images):
    softmax = suite_models.plant("softmax")
    with pytest.raises(AttackError, match="remove its softmax"):
        run(linear, images, transfer_model=softmax)
    last = keras.layers.Activation("sigmoid")(linear.outputs[0])
    sigmoid = keras.Model(linear.inputs, last)
    with pytest.raises(AttackError, match="transfer_model.*its sigmoid"):
        run(linear, images, transfer_model=sigmoid)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"suite": "autoattacks"}, "`suite` must be one of"),
        ({"norm": "l1"}, "`norm` must be one of"),
        ({"epsilon": 8}, "at most 1 in L-infinity"),
        ({"epsilon": -0.1}, "at least 0"),
        ({"budget": 0}, "`budget` must be above 0, where 1 is"),
        ({"budget": -1}, "`budget` must be above 0"),
        ({"budget": float("nan")}, "`budget` must be finite"),
        ({"budget": float("nan")}, "`budget` must be finite"),
        (
            {"budget": "0.1"},
            "`budget` must be a number. Received: budget='0.1'",
        ),
        ({"batch_size": 0}, "`batch_size`"),
        ({"batch_size": 10.0}, "`batch_size` must be an integer"),
        ({"seed": -1}, "`seed` must be finite, at least 0"),
        ({"seed": None}, "`seed` must be an integer"),
        ({"backward": "identity"}, "leave `backward` out"),
        ({"backward": "surrogate"}, "`backward` must be one of"),
        (
            {"graphs": evaluation.GraphsConfig(policy="drawn")},
            "no PeerRegularization",
        ),
    ],
    ids=str,
)
def test_refuses_bad_arguments(settings, message, linear, images):
    with pytest.raises(UserError, match=message):
        run(linear, images, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"graphs": evaluation.GraphsConfig(policy="drawn")},
        {"suite": "autoattack", "backward": "identity"},
    ],
    ids=str,
)
def test_a_function_has_no_graphs(settings, linear, images):
    with pytest.raises(UserError, match="instead of a function"):
        run(lambda x: linear(x), images, **settings)


def test_refuses_images_and_labels_that_do_not_fit(linear, images):
    with pytest.raises(AttackError, match=r"must lie in \[0, 1\]"):
        run(linear, (255 * images[0], images[1]))
    with pytest.raises(AttackError, match="one class for each image"):
        run(linear, (images[0], images[1][:3]))
    with pytest.raises(AttackError, match="between 0 and 3"):
        run(linear, (images[0], images[1] + 1))


def test_refuses_a_single_class(linear, images):
    """No image could be misclassified, and all would be robust."""
    two = keras.Sequential([linear, keras.layers.Dense(2)])
    with pytest.raises(AttackError, match="at least 2 classes.*Received: 1"):
        run(two, (images[0], 0 * images[1]), rejected_as="wrong")


def test_refuses_training_images_and_labels_of_another_kind(stripes):
    peernet = make_peernet(stripes)
    given = {
        "graphs": evaluation.GraphsConfig(policy="drawn", num_peers=6),
        "train_images": stripes.train.images,
        "train_labels": stripes.train.labels,
    }
    test = stripes.test.first(4)
    for name, change, message in (
        ("train_images", 255, r"train_images: .* lie in \[0, 1\]"),
        ("train_labels", 2, "`train_labels` must be below .*, 3. Rec.* 4"),
    ):
        changed = {**given, name: change * given[name]}
        with pytest.raises(AttackError, match=message):
            run(peernet, (test.images, test.labels), **changed)


def test_refuses_logits_that_are_not_finite(linear, images):
    with pytest.raises(AttackError, match="finite"):
        run(lambda x: linear(x) / 0.0, images)


def test_a_result_is_of_values_that_a_record_holds(found):
    result = found.result
    assert isinstance(result, records.SuiteResult)
    assert result.cases[0].access == "nothing"


_ON_JAX = """
import sys

sys.path.insert(0, "tests")
import keras
import numpy as np
import suite_models
from peernets_tf import robust_accuracy
from peernets_tf.errors import AttackError

assert keras.backend.backend() == "jax"
images, labels = suite_models.make_images()
settings = {"epsilon": 0.05, "budget": 0.02, "suite": sys.argv[1]}
found = robust_accuracy(suite_models.make_linear(), images, labels, **settings)
expected = suite_models.robust(images, labels, 0.05, "linf")
np.testing.assert_array_equal(found.robust, expected)
assert not found.failed
keyed = suite_models.plant("keyed")
found = robust_accuracy(keyed, images, labels, **settings)
assert np.mean(found.robust == expected) > 0.9
try:
    robust_accuracy(suite_models.plant("random"), images, labels, **settings)
except AttackError as error:
    assert "on the TensorFlow backend only" in str(error)
else:
    raise AssertionError("a random model was attacked with frozen draws")
"""


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["adaptive", "autoattack", "rand"])
def test_jax_finds_the_same(suite):
    pytest.importorskip("jax", reason="pip install jax")
    run_python(_ON_JAX, suite, KERAS_BACKEND="jax")


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (lambda x: [x, -x], "one tensor of logits.* Received: 2 outputs"),
        (lambda x: {"a": x}, "one tensor of logits.* Received: 1 outputs"),
        (lambda x: x[:, 0], r"logits must have shape \(B, classes\)"),
        (lambda x: x[:, :1], r"for one logit z, return \[0, z\]"),
    ],
)
def test_refuses_outputs_that_are_no_logits(outputs, message, linear, images):
    for suite in ("autoattack", "adaptive"):
        with pytest.raises(AttackError, match=message):
            run(lambda x: outputs(linear(x)), images, suite=suite)


def test_refuses_a_sigmoid_before_any_attack(linear, images):
    """The suites attack the logarithm of a softmax; a sigmoid has none."""
    last = keras.layers.Activation("sigmoid")(linear.outputs[0])
    model = keras.Model(linear.inputs, last)
    for suite in ("autoattack", "adaptive", "rand"):
        with pytest.raises(AttackError, match="remove its sigmoid"):
            run(model, images, suite=suite)


def test_refuses_random_numbers_that_compiling_fixes(linear, images):
    rng = np.random.default_rng(0)

    def noisy(x):
        return linear(x) + rng.normal(size=(1, 4)).astype("float32")

    with pytest.raises(
        AttackError, match=r"with keras\.random, not with NumPy"
    ):
        run(noisy, images, suite="rand")


def test_refuses_channels_first_before_any_attack(capsys):
    images = np.zeros((2, 3, 12, 12), "float32")

    def model(x):
        return ops.reshape(x, (-1, 432))[:, :3]

    with pytest.raises(AttackError, match=r"looks like \(B, C, H, W\)"):
        run(model, (images, np.zeros(2, int)), suite="autoattack")
    assert "apgd" not in capsys.readouterr().out


def test_warns_that_peers_are_older_than_the_weights(rng):
    model = bank_test.make_model()
    peernets_tf.set_peers(model, rng.random((4, 8, 8, 3)).astype("float32"))
    images = rng.random((2, 8, 8, 3)).astype("float32")
    labels = np.argmax(model(images), axis=1)
    layer = peernets_tf.peers.peer_layers(model)[0]
    layer.weights[0].assign(layer.weights[0] + 1)
    with pytest.warns(UserWarning, match="older than the model's weights"):
        run(model, (images, labels), suite="rand")


@pytest.mark.parametrize("place", ["function", "lambda", "transfer"])
def test_refuses_peers_that_a_model_does_not_hold(place, rng):
    model = bank_test.make_model()
    peernets_tf.set_peers(model, rng.random((4, 8, 8, 3)).astype("float32"))
    images = rng.random((2, 8, 8, 3)).astype("float32")
    labels = np.argmax(model(images), axis=1)

    def hidden(x):
        return model(x) / 2

    settings = {"suite": "autoattack"}
    if place == "lambda":
        # Its own layer does not hide the other one's.
        own = PeerRegularization(num_neighbors=2)
        hidden = keras.Sequential(
            [keras.Input((8, 8, 3)), own, keras.layers.Lambda(hidden)]
        )
        peernets_tf.set_peers(hidden, rng.random((4, 8, 8, 3)))
    if place == "transfer":
        settings = {"suite": "adaptive", "transfer_model": hidden}
        hidden = model
    with pytest.raises(UserError, match="runs layer 'peer_reg.* not hold it"):
        run(hidden, (images, labels), **settings)


def test_a_random_choice_may_be_the_same_twice(linear, images):
    seeds = keras.random.SeedGenerator(0)

    def one_of_two(x):
        factor = 1 + keras.random.randint((), 0, 2, seed=seeds)
        return linear(x) * ops.cast(factor, "float32")

    for _ in range(3):
        found = run(one_of_two, images, suite="rand", budget=0.02)
        (check,) = (c for c in found.checks if "randomness" in c.name)
        assert check.verdict == "passed"
        assert check.measured.endswith("attacks average")
