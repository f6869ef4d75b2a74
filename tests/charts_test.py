"""Charts show the records' numbers, and none is made without data."""

import dataclasses
import pathlib

import drawn_lines
import pytest
from sample_records import (
    make_attack,
    make_benchmark,
    make_case,
    make_provenance,
    make_training,
    one_of_each_kind,
)

from peernets_tf import pictures, records
from peernets_tf.pictures import (
    figure_5,
    figure_7,
    loss_against_steps,
    smallest_norms,
    speed,
    training_curves,
    truth,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Text that would break a formula, a file name, an SVG or a terminal.
HOSTILE = "$\\frac$ <b>&\x1b[31m../\n" + 100 * "x"


def case(**changes):
    fields = {"attack": "PGD(epsilon=0.03, steps=40)", "norm": "linf"}
    fields.update(epsilon=8 / 255, rho=None)
    return make_case(**{**fields, **changes})


def attack(*cases, **changes):
    fields = {"attack": "pgd", "is_universal": False, "cases": cases}
    return make_attack(**{**fields, **changes})


def test_no_picture_without_data():
    assert pictures.charts([]) == []
    # A search has no epsilon, an untrained network no history.
    assert truth.truth_pictures([attack(case(epsilon=None))]) == []
    assert figure_5.figure_5([attack(case(epsilon=None))]) == []
    assert smallest_norms.smallest_norms([attack(case())]) == []
    assert loss_against_steps.loss_against_steps([attack(case())]) == []
    assert training_curves.training_curves([make_training(history=())]) == []
    assert figure_7.figure_7([attack(case())]) == []
    timed_once = {"median_seconds": {"ours": 1.0}}
    assert speed.speed_pictures([make_benchmark(cases=(timed_once,))]) == []
    unusable = {"median_seconds": {"ours": 0.0, "art": 1.0}}
    assert speed.speed_pictures([make_benchmark(cases=(unusable,))]) == []


def test_names_are_different_and_say_what_is_shown():
    made = pictures.charts(one_of_each_kind())
    assert len({picture.name for picture in made}) == len(made) == 3
    for picture in made:
        drawn_lines.figure(picture)
        assert picture.title and picture.caption and picture.alt


def test_published_records_make_all_charts():
    paths = sorted((ROOT / "results").glob("*.json"))
    made = pictures.charts([records.read(str(path)) for path in paths])
    names = {picture.name for picture in made}
    assert {"truth_cifar10", "figure_7", "training_curves"} <= names
    assert {"figure_5_cifar10", "figure_5_smallest_cifar10"} <= names
    assert "speed_nearest_neighbors" in names


def test_truth_has_a_line_for_each_kind_and_network():
    (picture,) = truth.truth_pictures(
        [
            attack(case(adversarial_correct=140), backward="exact"),
            attack(
                case(adversarial_correct=20),
                case(
                    attack="PGD(epsilon=0.01, steps=40)",
                    epsilon=2 / 255,
                    adversarial_correct=80,
                ),
            ),
            # A weaker attack of the same kind and radius.
            attack(case(adversarial_correct=30, attack="FGSM")),
            attack(case(), attack="noise", follows_gradient=False),
            attack(case(), attack="square", follows_gradient=False),
            attack(
                case(), model="resnet32", threat_model=None, backward="exact"
            ),
        ]
    )
    (axes,) = drawn_lines.figure(picture).axes
    exact, identity, *others = drawn_lines.lines(axes)
    # No line joins one measurement to the accuracy without an attack.
    assert exact == [(pytest.approx(8), 70)]
    assert identity == [
        (0, 80),
        (pytest.approx(2), 40),
        (pytest.approx(8), 10),
    ]
    assert len(others) == 3
    labels = ["exact gradient", "BPDA (identity)", "random noise", "black box"]
    assert set(drawn_lines.texts(axes)) == set(labels)
    assert "PR-ResNet-32, BPDA (identity): 10.0 % at 8." in picture.alt
    assert "200 test images" in picture.caption
    assert "1 graph" not in picture.caption
    assert "10 graphs of 50 peers (known to the attacker)" in picture.caption


def test_truth_takes_an_attack_on_the_most_images():
    few = case(total=100, correct=80, adversarial_correct=0, fooled=10)
    (picture,) = truth.truth_pictures(
        [
            attack(case(adversarial_correct=20), test_size=200),
            attack(few, test_size=100),
        ]
    )
    (axes,) = drawn_lines.figure(picture).axes
    assert drawn_lines.lines(axes) == [[(0, 80), (pytest.approx(8), 10)]]


def test_truth_leaves_out_sweeps_of_steps():
    steps = [case(attack=f"PGD(steps={n})") for n in (1, 10)]
    assert truth.truth_pictures([attack(*steps)]) == []


def test_networks_of_one_name_are_told_apart():
    (picture,) = truth.truth_pictures(
        [attack(case()), attack(case(), weights_sha256="1", checkpoint="b")]
    )
    (axes,) = drawn_lines.figure(picture).axes
    assert set(drawn_lines.texts(axes)) == {
        "BPDA (identity), cifar10_pr_resnet32",
        "BPDA (identity), b",
    }


def test_figure_5_has_the_share_of_correct_images():
    (picture,) = figure_5.figure_5([attack(case(correct=160, fooled=64))])
    (axes,) = drawn_lines.figure(picture).axes
    assert drawn_lines.lines(axes) == [[(0, 0), (pytest.approx(8), 40)]]
    strong = case(attack="PGD(steps=40)", epsilon=16 / 255, fooled=80)
    (picture,) = figure_5.figure_5([attack(case(correct=160), strong)])
    (axes,) = drawn_lines.figure(picture).axes
    assert drawn_lines.lines(axes) == [
        [(0, 0), (pytest.approx(8), 40), (pytest.approx(16), 50)]
    ]


def test_figure_5_leaves_out_sweeps_of_steps_and_fewer_images():
    few = case(total=100, correct=80, adversarial_correct=0, fooled=60)
    steps = [case(attack=f"PGD(steps={n})", fooled=90) for n in (1, 10)]
    (picture,) = figure_5.figure_5(
        [attack(few, test_size=100), attack(case()), attack(*steps)]
    )
    (axes,) = drawn_lines.figure(picture).axes
    assert drawn_lines.lines(axes) == [[(0, 0), (pytest.approx(8), 40)]]


def test_smallest_norms_stand_beside_table_2():
    (picture,) = smallest_norms.smallest_norms(
        [
            attack(
                case(epsilon=None, mean_linf=17.8, fooled=80), backward="exact"
            )
        ]
    )
    (axes,) = drawn_lines.figure(picture).axes
    norms = [line.get_xdata()[0] for line in axes.lines]
    assert norms == [
        17.8,
        records.paper.SAMPLE_SPECIFIC["pr_resnet32", "pgd"][2],
    ]
    assert drawn_lines.texts(axes) == ["50.0 %", "100.0 %"]


def test_smallest_norms_of_other_searches_stand_apart():
    def search(**changes):
        settings = {"epsilon": None, "mean_linf": 17.8, **changes}
        return attack(case(**settings), backward="exact")

    (picture,) = smallest_norms.smallest_norms(
        [
            search(),
            search(norm="l2", mean_linf=40.0),
            search(attack="PGD(steps=7)", mean_linf=None, fooled=0),
        ]
    )
    panels = drawn_lines.figure(picture).axes
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles == [
        "PGD, 40 steps, smallest in L-infinity",
        "PGD, 40 steps, smallest in L2",
        "PGD, 7 steps, smallest in L-infinity",
    ]
    paper = records.paper.SAMPLE_SPECIFIC["pr_resnet32", "pgd"][2]
    norms = [[line.get_xdata()[0] for line in a.lines] for a in panels]
    assert norms == [[17.8, paper], [40.0], [paper]]
    assert drawn_lines.texts(panels[2]) == ["0.0 %", "100.0 %"]
    assert "none is fooled" in picture.alt


def test_figure_5_keeps_budgets_apart():
    strong = case(attack="PGD(steps=200)", fooled=120, changed=120)
    weak = case(attack="PGD(steps=5)", fooled=20)
    (picture,) = figure_5.figure_5([attack(strong), attack(weak)])
    panels = drawn_lines.figure(picture).axes
    titles = [axes.get_title(loc="left") for axes in panels]
    assert titles == ["PGD, 200 steps", "PGD, 5 steps"]
    assert "PGD, 5 steps on PR-ResNet-32, BPDA (identity): 12.5 %" in (
        picture.alt
    )


@pytest.mark.parametrize("order", [1, -1])
def test_of_equal_attacks_the_stronger_threat_model_is_shown(order):
    drawn = dataclasses.replace(make_attack().threat_model, policy="drawn")
    made = [
        attack(case(adversarial_correct=120), threat_model=drawn),
        attack(case(adversarial_correct=2)),
    ]
    (picture,) = truth.truth_pictures(made[::order])
    (axes,) = drawn_lines.figure(picture).axes
    assert drawn_lines.lines(axes) == [[(0, 80), (pytest.approx(8), 1)]]


def test_figure_7_has_the_share_of_all_images_and_the_papers():
    (picture,) = figure_7.figure_7(
        [
            make_attack(),
            make_attack(
                dataset="mnist",
                model="lenet5",
                threat_model=None,
                cases=(make_case(rho=0.2, changed=90),),
            ),
        ]
    )
    cifar10, mnist = drawn_lines.figure(picture).axes
    ours, papers = drawn_lines.lines(cifar10)
    assert ours == [(0.08, 45)]
    expected = records.paper.UNIVERSAL["cifar10", "pr_resnet32", 50, 10]
    assert papers == [
        (rho, pytest.approx(100 * rate)) for rho, (_, rate) in expected.items()
    ]
    assert drawn_lines.lines(mnist)[0] == [(0.2, 45)]


def test_figure_7_draws_each_reading_of_rho_apart():
    readings = ("unit", True), ("centered", True), ("unit", False)
    (picture,) = figure_7.figure_7(
        [
            make_attack(
                cases=(
                    make_case(rho_of=rho_of, clip=clip),
                    make_case(rho=0.1, rho_of=rho_of, clip=clip),
                )
            )
            for rho_of, clip in readings
        ]
    )
    (axes,) = drawn_lines.figure(picture).axes
    *ours, _ = drawn_lines.lines(axes)
    assert ours == [[(0.08, 45), (0.1, 45)]] * 3
    shown = " ".join(drawn_lines.texts(axes))
    assert "centered" in shown
    assert "unclipped" in shown


@pytest.mark.parametrize(
    "change", [{"ablation": "no_layers"}, {"transfer_from": "a.keras"}]
)
def test_an_ablated_network_and_images_of_another_are_in_no_picture(change):
    whole = attack(case(), backward="identity")
    changed = attack(case(adversarial_correct=3), **change)
    assert pictures.charts([changed]) == []
    names = [picture.alt for picture in pictures.charts([whole])]
    assert names
    assert [p.alt for p in pictures.charts([whole, changed])] == names


def test_loss_needs_several_steps():
    def steps(number, loss):
        return case(attack=f"PGD(steps={number})", mean_loss=loss)

    (picture,) = loss_against_steps.loss_against_steps(
        [
            attack(steps(10, 1.5), steps(1, 0.5), steps(100, 1.75)),
            attack(steps(10, 9.0), backward="exact"),
        ]
    )
    (axes,) = drawn_lines.figure(picture).axes
    assert drawn_lines.lines(axes) == [[(1, 0.5), (10, 1.5), (100, 1.75)]]
    assert drawn_lines.texts(axes) == ["BPDA (identity), 8/255"]


def test_epochs_of_an_initial_model_come_first():
    (picture,) = training_curves.training_curves([make_training()])
    (axes,) = drawn_lines.figure(picture).axes
    assert drawn_lines.lines(axes) == [[(9, 75)]]
    assert drawn_lines.texts(axes) == ["PR-LeNet-5, 8 + 1 epochs"]


def test_bars_start_at_the_baseline():
    cases = (
        {
            "median_seconds": {"ours": 2.0, "art": 8.0, "fast": 0.5},
            # As recorded, which may differ from the ratio of the medians.
            "ratio_to_ours": {"ours": 1.0, "art": 4.5, "fast": 0.25},
        },
    )
    (picture,) = speed.speed_pictures([make_benchmark(cases=cases)])
    (axes,) = drawn_lines.figure(picture).axes
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    # Matplotlib turns a bar of negative width round.
    assert sorted(bars) == [(1, -0.75), (1, 0.0), (1, 3.5)]
    assert drawn_lines.texts(axes) == [
        "0.25 \N{MULTIPLICATION SIGN}, 500 ms",
        "baseline, 2 s",
        "4.5 \N{MULTIPLICATION SIGN}, 8 s",
    ]


def test_hostile_text_is_drawn_as_text():
    hostile = {
        "model": HOSTILE,
        "dataset": HOSTILE,
        "provenance": make_provenance(device=HOSTILE),
    }
    loss = case(attack="PGD(steps=1)", mean_loss=1.0)
    again = dataclasses.replace(loss, attack="PGD(steps=2)")
    made = pictures.charts(
        [
            make_training(**hostile),
            make_attack(**hostile),
            attack(loss, again, attack=HOSTILE, **hostile),
            attack(case(), attack=HOSTILE, **hostile),
            attack(case(epsilon=None), attack=HOSTILE, **hostile),
            make_benchmark(
                name=HOSTILE,
                cases=(
                    {
                        HOSTILE: HOSTILE,
                        "median_seconds": {HOSTILE: 1.0, "art": 2.0},
                    },
                ),
            ),
        ]
    )
    assert len(made) == 7
    for picture in made:
        assert pathlib.PurePath(picture.name).name == picture.name
        svg = pictures.render(picture, pictures.LIGHT, "svg")
        assert b"\x1b" not in svg
        for text in (picture.title, picture.caption, picture.alt):
            assert "\x1b" not in text and "\n" not in text
