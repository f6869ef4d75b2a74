"""The verdict names the strongest attack with the record's own counts."""

import dataclasses

from sample_records import (
    make_attack,
    make_case,
    make_comparison,
    make_suite,
    make_suite_result,
)

from peernets_tf.pictures.verdict import verdicts
from peernets_tf.records import statistics


def case(left, **changes):
    fields = {
        "attack": "PGD(epsilon=0.03, steps=40, restarts=1, keep_best=True)",
        "norm": "linf",
        "epsilon": 8 / 255,
        "rho": None,
        "adversarial_correct": left,
        "fooled": 0,
    }
    return make_case(**{**fields, **changes})


def attack(*cases, **changes):
    fields = {"attack": "pgd", "is_universal": False, "cases": cases}
    return make_attack(**{**fields, **changes})


def test_the_strongest_attack_in_the_usual_ball():
    (verdict,) = verdicts(
        [
            attack(case(140), backward="exact"),
            attack(
                case(4), case(60, epsilon=1 / 255), case(0, epsilon=16 / 255)
            ),
            attack(case(0), model="resnet32", threat_model=None),
            make_attack(cases=(make_case(adversarial_correct=0),)),
        ]
    )
    low, high = statistics.wilson_interval(4, 200)
    assert verdict.network == "PR-ResNet-32 on CIFAR-10"
    assert verdict.accuracy == "2.0 %"
    assert verdict.interval == f"{100 * low:.1f} % to {100 * high:.1f} %"
    assert verdict.images == "200 test images"
    assert verdict.before == "80.0 %"
    assert verdict.exact == "70.0 %"
    assert verdict.attack == (
        "PGD, 40 steps, BPDA (identity), in an L-infinity ball of 8/255"
    )


def test_what_was_not_tried():
    (verdict,) = verdicts([attack(case(4))])
    assert verdict.exact == ""
    assert "an attack without gradients" in verdict.not_tried
    assert "the exact gradient" in verdict.not_tried
    assert "BPDA with the identity" not in verdict.not_tried
    assert "more than one restart" in verdict.not_tried
    assert "the other 9,800 test images" in verdict.not_tried
    # The graphs of these records are ten.
    assert "predictions averaged over several graphs" not in verdict.not_tried
    tried = attack(case(9), attack="square", follows_gradient=False)
    (verdict,) = verdicts([attack(case(4)), tried])
    assert "an attack without gradients" not in verdict.not_tried


def test_a_masked_gradient_is_named_only_if_the_intervals_part():
    weak, strong = case(5), case(4)
    (verdict,) = verdicts([attack(weak, backward="exact"), attack(strong)])
    assert verdict.exact == ""


def test_an_attack_of_other_settings_is_not_the_same():
    more_steps = case(9, attack="PGD(epsilon=0.03, steps=100, restarts=1)")
    (verdict,) = verdicts(
        [attack(more_steps, case(140), backward="exact"), attack(case(4))]
    )
    assert verdict.exact == "70.0 %"
    (verdict,) = verdicts(
        [attack(more_steps, backward="exact"), attack(case(4))]
    )
    assert verdict.exact == ""


def test_universal_attacks_count_where_there_are_no_others():
    (verdict,) = verdicts([make_attack()])
    assert verdict.accuracy == "50.0 %"
    assert verdict.attack == (
        "universal DeepFool, BPDA (identity), at rho = 0.08"
    )


def test_a_comparison_counts_where_there_is_no_attack():
    (verdict,) = verdicts([make_comparison()])
    assert verdict.accuracy == "50.0 %"
    assert len(verdicts([make_comparison(), make_attack()])) == 1


def test_the_attacks_of_a_suite_count():
    """Square leaves the fewest of all images; the large ball does not count."""
    (verdict,) = verdicts([make_suite(), attack(case(100))])
    assert verdict.accuracy == "20.0 %"
    assert verdict.before == "90.0 %"
    assert verdict.attack == "suite adaptive, in an L-infinity ball of 8/255"
    assert "an attack without gradients" not in verdict.not_tried
    assert "random noise" in verdict.not_tried


def test_what_a_suite_tried_only_for_its_checklist_counts():
    steps = make_suite().result.cases
    probe = dataclasses.replace(
        steps[0],
        name="pgd-identity",
        backward="identity",
        is_counted=False,
        attacked=180,
        fooled=178,
        robust=40,
    )
    none_left = dataclasses.replace(
        probe, name="soft", backward="soft", attacked=0, fooled=0
    )
    result = make_suite_result(cases=(*steps, probe, none_left))
    (verdict,) = verdicts([make_suite(result=result)])
    assert verdict.accuracy == "1.0 %"
    assert verdict.attack.startswith("suite adaptive, BPDA (identity), in")
    # The same attack along the exact gradient.
    assert verdict.exact == "30.0 %"
    assert "BPDA with the identity" not in verdict.not_tried
    assert "BPDA with a soft attention" in verdict.not_tried


def test_a_large_ball_of_the_radius_of_the_suite_does_not_count():
    """It shows what an attack on 100 images can do, not what it leaves."""
    steps = make_suite().result.cases
    large = dataclasses.replace(
        steps[0],
        name="large-ball",
        is_counted=False,
        attacked=100,
        fooled=100,
        robust=20,
    )
    result = make_suite_result(cases=(*steps, large))
    (verdict,) = verdicts([make_suite(result=result)])
    assert verdict.accuracy == "20.0 %"


def test_what_is_no_attack_on_the_network_itself_does_not_count():
    strongest = attack(case(20))
    others = [
        attack(case(2), ablation="uniform_attention"),
        attack(case(3), num_neighbors=5),
        attack(case(4, clip=False)),
    ]
    assert verdicts([*others, strongest]) == verdicts([strongest])


def test_no_verdict_without_an_attack_on_a_peernet():
    search = attack(case(0, epsilon=None))
    plain = attack(case(0), threat_model=None)
    assert verdicts([search, plain]) == []
