"""Each check passes, fails and goes unmeasured where it should."""

import dataclasses

import numpy as np
import pytest

from peernets_tf.evaluation import checklist, suites
from peernets_tf.evaluation.checklist import Evidence, Outcome
from peernets_tf.evaluation.suite_step import Step

# Of 1,000 images, AutoAttack's flag allows a black box 2 and no more.
TOTAL = 1000
BLACK_BOX = Step(name="square", attack="square", access="black-box")
TRANSFER = Step(name="transfer", attack="pgd", access="transfer")


def of_role(role, **fields):
    return Step(name=role, attack="pgd", role=role, **fields)


def make_outcome(**fields):
    return Outcome(attack="", epsilon=0.1, queries=1, **fields)


def outcome(step, fooled, attacked=TOTAL):
    """A step that attacked the first images, and fooled the first of them."""
    places = np.arange(TOTAL)
    return make_outcome(
        step=step, attacked=places < attacked, fooled=places < fooled
    )


def outcome_at(step, places):
    """A step that attacked the images from 400 on, and those it fooled."""
    images = np.arange(TOTAL)
    fooled = np.isin(images, places)
    return make_outcome(
        step=step, attacked=(images >= 400) | fooled, fooled=fooled
    )


def answer(name, *outcomes, **fields):
    """Returns one `records.Check`, None if it is left out."""
    evidence = Evidence(
        **{
            "correct": np.ones(TOTAL, bool),
            "outcomes": outcomes,
            "zero_gradients": 0,
            "are_probabilities": False,
            "variation": 0.0,
            **fields,
        }
    )
    found = {c.name: c for c in checklist.checklist(evidence)}
    return found.get(name)


def check(name, *outcomes, **fields):
    """Returns the verdict of one check, None if it is left out."""
    found = answer(name, *outcomes, **fields)
    return found and found.verdict


def test_probabilities():
    name = "outputs are logits"
    assert check(name) == "passed"
    assert check(name, are_probabilities=True) == "failed"


def test_randomness():
    name = "attacks allow for randomness"
    averages = Step(name="e", attack="apgd", options={"expectation": 20})
    assert check(name) == "passed"
    assert check(name, outcome(BLACK_BOX, 1), variation=0.1) == "failed"
    assert check(name, outcome(averages, 1), variation=0.1) == "passed"
    idle = outcome(averages, 0, attacked=0)
    assert check(name, idle, variation=0.1) == "not measured"


def test_zero_gradients():
    name = "no gradient is exactly zero"
    assert check(name) == "passed"
    assert check(name, zero_gradients=1) == "failed"


@pytest.mark.parametrize(
    ("single", "iterative", "verdict"),
    [
        (300, 400, "passed"),
        (300, 300, "passed"),
        (300, 299, "failed"),
        (0, 0, "not measured"),
        (None, 300, "not measured"),
        (300, None, "not measured"),
    ],
)
def test_iterative_and_single_step(single, iterative, verdict):
    outcomes = [
        outcome(of_role(role), fooled)
        for role, fooled in (
            (suites.SINGLE_STEP, single),
            (suites.ITERATIVE, iterative),
        )
        if fooled is not None
    ]
    assert check("iterative beats single-step", *outcomes) == verdict


@pytest.mark.parametrize("step", [BLACK_BOX, TRANSFER], ids=lambda s: s.name)
@pytest.mark.parametrize(
    ("places", "verdict"),
    [
        ([], "passed"),
        ([500, 501], "passed"),
        ([500, 501, 502], "failed"),
        # The white box fooled those, too.
        ([0, 1, 2, 3, 500], "passed"),
    ],
)
def test_black_box_and_transfer(step, places, verdict):
    name = "white-box beats black-box and transfer"
    white = outcome(of_role(suites.ITERATIVE), 400)
    assert check(name, white, outcome_at(step, places)) == verdict
    # A step that only serves the checklist is no attack of the suite.
    probe = dataclasses.replace(of_role(suites.BPDA), is_counted=False)
    with_probe = check(
        name, white, outcome(probe, TOTAL), outcome_at(step, places)
    )
    assert with_probe == verdict


def test_a_black_box_is_compared_with_the_exact_gradient():
    """BPDA would hide that this gradient is masked."""
    exact = dataclasses.replace(of_role(suites.ITERATIVE), backward="exact")
    bpda = dataclasses.replace(of_role(suites.BPDA), backward="identity")
    name = "white-box beats black-box and transfer"
    outcomes = [
        outcome(exact, 400),
        outcome(bpda, TOTAL),
        outcome_at(BLACK_BOX, range(500, 600)),
    ]
    assert check(name, *outcomes) == "failed"
    # A suite may follow BPDA alone.
    followed = dataclasses.replace(exact, backward="identity")
    assert check(name, outcome(followed, TOTAL), *outcomes[2:]) == "passed"


def test_without_a_black_box_nothing_is_compared():
    white = outcome(of_role(suites.ITERATIVE), 400)
    name = "white-box beats black-box and transfer"
    assert check(name, white) == "not measured"
    nothing_left = outcome(BLACK_BOX, 0, attacked=0)
    assert check(name, white, nothing_left) == "not measured"


@pytest.mark.parametrize(
    ("fooled", "verdict"), [(2, "not measured"), (3, "failed")]
)
def test_a_black_box_that_stops_early_passes_nothing(fooled, verdict):
    """It may have been about to fool the defended model, too."""
    white = outcome(of_role(suites.ITERATIVE), 400)
    black = dataclasses.replace(
        outcome_at(BLACK_BOX, range(500, 500 + fooled)), stops_early=True
    )
    name = "white-box beats black-box and transfer"
    assert check(name, white, black) == verdict


@pytest.mark.parametrize(
    ("noise", "single", "iterative", "verdict"),
    [
        (10, 300, 400, "passed"),
        (301, 300, 400, "failed"),
        (301, 400, 300, "failed"),
        (1, 0, 0, "failed"),
        (0, 0, 0, "not measured"),
    ],
)
def test_noise(noise, single, iterative, verdict):
    found = check(
        "random noise is weakest",
        outcome(of_role(suites.NOISE), noise),
        outcome(of_role(suites.SINGLE_STEP), single),
        outcome(of_role(suites.ITERATIVE), iterative),
    )
    assert found == verdict


@pytest.mark.parametrize(
    ("fooled", "verdict"), [(0, "passed"), (10, "passed"), (11, "failed")]
)
def test_more_steps(fooled, verdict):
    name = "more steps and restarts change little"
    more = outcome(of_role(suites.MORE), fooled, attacked=500)
    assert check(name, more) == verdict
    assert check(name) == "not measured"
    nothing_left = outcome(of_role(suites.MORE), 0, attacked=0)
    assert check(name, nothing_left) == "not measured"


@pytest.mark.parametrize(
    ("fooled", "verdict"), [(100, "passed"), (99, "failed")]
)
def test_the_large_ball(fooled, verdict):
    name = "a large enough ball fools all"
    step = of_role("", in_large_ball=True)
    assert check(name, outcome(step, fooled, attacked=100)) == verdict
    assert check(name, outcome(step, 0, attacked=0)) == "not measured"
    assert check(name) == "not measured"


@pytest.mark.parametrize(
    ("exact", "identity", "verdict"),
    [(100, 100, "passed"), (71, 100, "failed"), (100, 97, "failed")],
)
def test_each_gradient_must_lead_to_all_images(exact, identity, verdict):
    found = answer(
        "a large enough ball fools all",
        *(
            outcome(
                of_role("", in_large_ball=True, backward=backward),
                fooled,
                attacked=100,
            )
            for backward, fooled in (("exact", exact), ("identity", identity))
        ),
    )
    assert found.verdict == verdict
    assert found.measured == (
        f"left: {100 - exact} of 100 (exact), "
        f"{100 - identity} of 100 (identity)"
    )


@pytest.mark.parametrize(
    ("exact", "bpda", "verdict"),
    [
        (300, 310, "passed"),
        (300, 200, "passed"),
        (300, 311, "failed"),
    ],
)
def test_bpda(exact, bpda, verdict):
    name = "exact gradient is as strong as BPDA"
    other = outcome(of_role(suites.BPDA, backward="identity"), bpda)
    for backward, expected in (("exact", verdict), ("soft", "not measured")):
        step = of_role(suites.ITERATIVE, backward=backward)
        assert check(name, outcome(step, exact), other) == expected
    # A model without peers has but one backward pass.
    step = of_role(suites.ITERATIVE, backward="exact")
    assert check(name, outcome(step, exact)) is None
