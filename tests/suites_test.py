"""Which attacks a suite runs, in which order and with which settings."""

import dataclasses

import pytest

from peernets_tf import adaptive, attacks, evaluation
from peernets_tf.errors import UserError
from peernets_tf.evaluation import SuiteConfig, suites
from peernets_tf.evaluation.suite_step import Traits
from peernets_tf.evaluation.suites import SUITES, steps_of
from peernets_tf.records import paper

PLAIN = Traits(num_classes=10)
PEERS = Traits(
    num_classes=10,
    has_peers=True,
    has_bpda=True,
    has_guides=True,
    guesses_graphs=True,
)


def make_config(suite, **fields):
    return SuiteConfig(suite=suite, output_dir="", **fields)


def names(suite, traits):
    return [step.name for step in steps_of(suite, traits)]


@pytest.mark.parametrize("suite", SUITES)
def test_steps_are_attacks_with_names_of_their_own(suite):
    steps = SUITES[suite]
    assert len({step.name for step in steps}) == len(steps)
    for step in steps:
        assert step.backward in ("", *adaptive.BACKWARDS)
        assert not step.needs or hasattr(PLAIN, step.needs)
        made = step.make(
            "l2",
            0.5,
            budget=1,
            num_classes=10,
            may_stop=False,
            is_random=False,
        )
        assert made.name == step.attack
        assert (made.norm, made.epsilon) == ("l2", 0.5)
        # A suite attacks the true labels.
        assert not made.targeted
        assert not made.is_universal


@pytest.mark.parametrize("suite", SUITES)
def test_what_the_checklist_compares_attacks_the_same_images(suite):
    for step in SUITES[suite]:
        compared = step.role in (
            suites.NOISE,
            suites.SINGLE_STEP,
            suites.ITERATIVE,
            suites.BPDA,
            suites.ROW,
        )
        compared = compared or step.in_large_ball
        assert step.only_survivors != compared
        # By this name the page of verdicts knows it.
        assert step.in_large_ball == step.name.startswith("large-ball")


@pytest.mark.parametrize("suite", SUITES)
def test_a_black_box_attacks_what_white_boxes_left(suite):
    steps = [step for step in SUITES[suite] if step.is_counted]
    access = [step.access for step in steps if step.role != suites.MORE]
    first = access.index("black-box") if "black-box" in access else len(access)
    assert "white-box" not in access[first:]
    assert "nothing" not in access[1:]


def test_adaptive_goes_from_cheap_to_expensive():
    found = names("adaptive", PLAIN)
    assert found[:3] == ["noise", "fgsm", "pgd"]
    assert found.index("pgd-margin") < found.index("square")
    with_peers = names("adaptive", PEERS)
    # What knows peers comes before many restarts of the exact gradient.
    assert with_peers.index("pgd-identity-margin") < with_peers.index(
        "pgd-margin"
    )
    assert set(with_peers) - set(found) == {
        step.name
        for step in SUITES["adaptive"]
        if step.backward in ("identity", "soft") and step.access != "transfer"
    }


def test_attacks_on_peers_need_what_the_attacker_knows():
    known = names(
        "adaptive", Traits(num_classes=10, has_peers=True, has_bpda=True)
    )
    assert set(names("adaptive", PEERS)) - set(known) == {
        "pgd-identity-graphs",
        "neighbor-guided",
    }


@pytest.mark.parametrize("suite", ["autoattack", "rand"])
def test_no_probe_repeats_the_first_attack(suite):
    probes = {
        backward: [
            step.name
            for step in steps_of(suite, PEERS, backward)
            if step.role == suites.BPDA
        ]
        for backward in adaptive.BACKWARDS
    }
    probe = ["apgd-ce-identity"]
    assert probes == {"exact": probe, "soft": probe, "identity": []}


def test_what_hides_a_gradient_otherwise_is_attacked_by_bpda():
    """MagNet and bounded ReLUs have no peers."""
    hidden = Traits(num_classes=10, has_bpda=True)
    assert set(names("adaptive", hidden)) - set(names("adaptive", PLAIN)) == {
        "pgd-identity",
        "pgd-identity-margin",
        "apgd-ce-identity",
        "apgd-dlr-identity",
        "large-ball-identity",
    }
    assert "apgd-ce-identity" in names("autoattack", hidden)
    assert "apgd-ce-identity" not in names("autoattack", PLAIN)


def test_adaptive_estimates_gradients_after_square():
    found = names("adaptive", PLAIN)
    square = found.index("square")
    assert found[square + 1 : square + 3] == ["nes", "spsa"]
    wide = attacks.NES(epsilon=0.1, steps=100, samples=100, delta=8 / 255)
    assert make("nes") == wide
    assert make("spsa", budget=0.5) == attacks.SPSA(
        epsilon=0.1, steps=50, samples=64
    )
    assert make("nes", may_stop=True).stop_when_fooled


def test_table_7_is_that_of_the_paper():
    steps = {step.name: step for step in SUITES["table7"]}
    rows = {name for name in steps if name.count("-") == 1}
    assert rows >= {f"{kind}-{pixels:g}" for _, kind, pixels in paper.QUERIES}
    for row in rows:
        white, bpda = steps[row], steps[f"{row}-identity"]
        assert white.epsilon == pytest.approx(float(row.split("-")[1]) / 255)
        assert bpda == white.variant(
            "-identity", backward="identity", role=bpda.role, needs="has_bpda"
        )
        for delta in (0.01, 1, 4, 8):
            black = steps[f"{row}-delta-{delta:g}"]
            assert black.access == "black-box"
            assert black.radius("linf", 9, ()) == white.epsilon
            made = make(black.name, "table7")
            assert made.delta == pytest.approx(delta / 255)
            assert made.num_groups == 0
            assert made.loss == white.options["loss"] == "margin"
            assert made.steps == white.options.get("steps", 1)
            grouped = make(black.name, "table7_groups")
            assert grouped == dataclasses.replace(made, num_groups=384)
    # Where the radius is another one, nothing counts in the worst case.
    counted = {s.epsilon for s in steps.values() if s.is_counted}
    assert counted == {make_config("table7").radius}
    assert make("single-8-delta-1", "table7", budget=5).steps == 1


@pytest.mark.parametrize("given", [{"norm": "l2"}, {"epsilon": 0.1}], ids=str)
def test_table_7_has_its_own_radii(given):
    with pytest.raises(UserError, match="leave `norm` and `epsilon` out"):
        make_config("table7", **given)


@pytest.mark.parametrize("suite", ["adaptive", "table7", "table7_groups"])
def test_some_suites_choose_their_backward_passes(suite):
    with pytest.raises(UserError, match="leave `backward` out"):
        make_config(suite, backward="identity")


def test_a_random_model_gets_attacks_that_average():
    found = names("adaptive", Traits(num_classes=10, is_random=True))
    assert set(found) - set(names("adaptive", PLAIN)) == {
        "apgd-ce-expectation",
        "apgd-dlr-expectation",
    }


def test_a_transfer_needs_a_model():
    assert "transfer" not in names("adaptive", PLAIN)
    given = Traits(num_classes=10, has_transfer_model=True)
    assert "transfer" in names("adaptive", given)


def test_autoattack_is_the_published_one():
    counted = [step for step in SUITES["autoattack"] if step.is_counted]
    made = {
        step.name: make(step.name, "autoattack", may_stop=True)
        for step in counted
    }
    assert made == {
        "apgd-ce": attacks.APGD(epsilon=0.1, steps=100),
        "apgd-t": attacks.APGD(
            epsilon=0.1, steps=100, loss="dlr", num_targets=9
        ),
        "fab-t": attacks.FAB(epsilon=0.1, steps=100, num_targets=9),
        "square": attacks.Square(
            epsilon=0.1, queries=5000, rescale_schedule=False
        ),
    }
    random = [step for step in SUITES["rand"] if step.is_counted]
    assert {step.name: make(step.name, "rand") for step in random} == {
        "apgd-ce": attacks.APGD(
            epsilon=0.1, steps=100, expectation=20, stop_when_fooled=False
        ),
        "apgd-dlr": attacks.APGD(
            epsilon=0.1,
            steps=100,
            loss="dlr",
            expectation=20,
            stop_when_fooled=False,
        ),
    }


@pytest.mark.parametrize(
    ("num_classes", "missing"),
    [(2, {"apgd-t", "apgd-dlr"}), (3, {"apgd-t"}), (4, set())],
)
def test_losses_need_classes(num_classes, missing):
    few = Traits(num_classes=num_classes)
    found = {*names("autoattack", few), *names("rand", few)}
    many = {*names("autoattack", PLAIN), *names("rand", PLAIN)}
    assert many - found == missing
    targets = make("fab-t", "autoattack", num_classes=num_classes).num_targets
    assert targets == num_classes - 1


def make(name, suite="adaptive", **settings):
    (step,) = (step for step in SUITES[suite] if step.name == name)
    default = {
        "budget": 1,
        "num_classes": 10,
        "may_stop": False,
        "is_random": True,
    }
    return step.make("linf", 0.1, **default | settings)


def test_calls_that_do_not_differ_are_not_averaged():
    assert make("apgd-ce", "rand", is_random=False) == attacks.APGD(
        epsilon=0.1, steps=100, stop_when_fooled=False
    )


def test_the_budget_scales_but_never_to_nothing():
    assert make("pgd-margin") == attacks.PGD(
        epsilon=0.1, steps=200, restarts=5, loss="margin"
    )
    assert make("pgd-margin", budget=0.1) == attacks.PGD(
        epsilon=0.1, steps=20, restarts=1, loss="margin"
    )
    assert make("pgd-margin", budget=2) == attacks.PGD(
        epsilon=0.1, steps=400, restarts=10, loss="margin"
    )
    assert make("large-ball", budget=0.1) == make("large-ball")
    assert make("square", budget=1e-6).queries == 1
    assert make("square").queries == 5000
    # A single step stays one.
    assert make("fgsm", budget=0.01) == attacks.FGSM(epsilon=0.1)


def test_an_attack_stops_early_only_where_that_loses_nothing():
    assert make("pgd", may_stop=True).stop_when_fooled
    assert not make("pgd", may_stop=False).stop_when_fooled
    for name in ("apgd-ce", "apgd-t"):
        assert make(name, "autoattack", may_stop=True).stop_when_fooled
        assert not make(name, "autoattack", may_stop=False).stop_when_fooled


@pytest.mark.parametrize(("norm", "expected"), [("linf", 1.0), ("l2", 12.0)])
def test_the_large_ball_holds_all_images(norm, expected):
    (step,) = (s for s in SUITES["adaptive"] if s.name == "large-ball")
    assert step.radius(norm, 0.01, (12, 12, 1)) == expected
    assert not step.is_counted
    # From a random image of this ball, nothing would be left to do.
    assert not make("large-ball").random_start


def test_the_default_radius_is_that_of_a_single_attack():
    assert make_config("adaptive").radius == 8 / 255
    assert make_config("adaptive", norm="l2").radius == 0.5
    assert make_config("adaptive", epsilon=0.25).radius == 0.25
    with pytest.raises(UserError, match="test_size"):
        make_config("adaptive", test_size=0)
    assert evaluation.SUITES is SUITES
