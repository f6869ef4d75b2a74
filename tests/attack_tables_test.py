"""The tables of attacks."""

import dataclasses

import pytest
from sample_records import GRAPHS, THREAT_MODEL, make_attack, make_case

from peernets_tf.records.attack_tables import attack_tables, fooling_rate


def attack_cells(record):
    """Returns the title and the cells of each row, by column."""
    return [
        {"title": table.title} | dict(zip(table.columns, row, strict=True))
        for table in attack_tables([record])
        for row in table.rows
    ]


def test_universal_rates_count_all_images():
    (row,) = attack_cells(make_attack())
    assert row["title"] == (
        "PR-ResNet-32 on CIFAR-10, 10 graphs of 50 peers, known: 200 images, "
        "80.0% ±6.1 correct before the attack"
    )
    assert row["backward"] == "identity"
    assert row["strength"] == "ρ 0.08 unit"
    assert row["accuracy"] == "50.0% ±6.9"
    # 90 of 200 predictions changed.
    assert row["fooled"] == "45.0% ±6.9"
    assert row["paper"] == "83.3% / 13.0%"


def test_models_of_one_name_have_tables_of_their_own():
    found = attack_tables(
        [
            make_attack(checkpoint="a.keras", weights_sha256="0"),
            make_attack(checkpoint="b.keras", weights_sha256="1"),
            make_attack(checkpoint="c.keras", weights_sha256="0"),
        ]
    )
    ends = [table.title.rpartition(", ")[2] for table in found]
    assert ends == ["a.keras", "b.keras"]
    assert [len(table.rows) for table in found] == [2, 1]


def test_graphs_drawn_in_each_step_stand_beside_the_backward_pass():
    drawn = dataclasses.replace(THREAT_MODEL, expectation=5)
    (row,) = attack_cells(make_attack(threat_model=drawn))
    assert row["backward"] == "identity, EOT 5"
    noise = make_attack(threat_model=drawn, follows_gradient=False)
    assert attack_cells(noise)[0]["backward"] == "-"


def test_a_black_box_names_its_queries():
    case = make_case(rho=None, epsilon=8 / 255, norm="linf", queries=200 * 1234)
    box = {"attack": "square", "is_universal": False, "cases": (case,)}
    (row,) = attack_cells(make_attack(**box, follows_gradient=False))
    assert row["strength"] == "L-inf 8/255, 1,234 queries"
    (row,) = attack_cells(make_attack(**box))
    assert row["strength"] == "L-inf 8/255"


def test_a_title_names_the_model_on_which_images_were_made():
    (row,) = attack_cells(make_attack(transfer_from="a.keras"))
    assert ", 10 graphs of 50 peers, images made on a.keras: " in row["title"]


def test_a_title_names_what_the_layers_computed_instead():
    title = "PR-ResNet-32 on CIFAR-10, 10 graphs of 50 peers, known"
    for changes, expected in (
        ({"ablation": "no_layers"}, ", no_layers: "),
        ({"num_neighbors": 5}, ", K = 5: "),
        (
            {"ablation": "random_neighbors", "num_neighbors": 5},
            ", random_neighbors, K = 5: ",
        ),
    ):
        (row,) = attack_cells(make_attack(**changes))
        assert row["title"].startswith(title + expected)


def test_other_rates_count_images_that_were_correct():
    case = make_case(rho=None, epsilon=None, norm="linf")
    (row,) = attack_cells(
        make_attack(
            model="resnet32",
            attack="pgd",
            is_universal=False,
            backward="exact",
            threat_model=None,
            cases=(case,),
        )
    )
    assert row["title"].startswith("ResNet-32 on CIFAR-10: 200 images")
    assert row["backward"] == "-"
    assert row["strength"] == "min. L-inf"
    # 64 of the 160 that were correct.
    assert row["fooled"] == "40.0% ±7.7"
    assert (row["L2"], row["L-inf"]) == ("30.1", "0.62")
    assert row["paper"] == "100.0% / 30.1 / 0.62"


def test_the_paper_has_no_pgd_in_l2():
    case = make_case(rho=None, epsilon=None, norm="l2")
    (row,) = attack_cells(
        make_attack(
            model="resnet32",
            attack="pgd",
            is_universal=False,
            threat_model=None,
            cases=(case,),
        )
    )
    assert (row["strength"], row["paper"]) == ("min. L2", "-")


def test_a_model_that_rejects_images():
    case = make_case(rejected=12, clean_rejected=3)
    record = make_attack(
        model="magnet_resnet32",
        backward="identity",
        threat_model=None,
        rejected_as="right",
        cases=(case,),
    )
    (row,) = attack_cells(record)
    assert row["title"].startswith("MagNet + ResNet-32 on CIFAR-10: ")
    assert row["title"].endswith(
        "before the attack, 3 rejected; a rejected image counts as right"
    )
    # BPDA, of a model without peers.
    assert row["backward"] == "identity"
    assert row["rej."] == "12"
    (row,) = attack_cells(make_attack(cases=(make_case(),)))
    assert "rej." not in row


@pytest.mark.parametrize(
    ("attack", "rho", "rate", "backward"),
    [
        # Noise at a rho is the control of universal perturbations.
        ("noise", 0.08, "45.0% ±6.9", "-"),
        ("noise", None, "40.0% ±7.7", "-"),
        ("square", 0.08, "40.0% ±7.7", "-"),
        ("pgd", 0.08, "40.0% ±7.7", "identity"),
    ],
)
def test_noise_at_a_rho_counts_as_universal_perturbations_do(
    attack, rho, rate, backward
):
    record = make_attack(
        attack=attack,
        is_universal=False,
        follows_gradient=attack == "pgd",
        cases=(make_case(rho=rho),),
    )
    (row,) = attack_cells(record)
    assert row["fooled"] == rate
    assert row["backward"] == backward
    assert row["paper"] == "-"


def test_strengths_are_named():
    cases = (
        make_case(rho=None, epsilon=8 / 255, norm="linf"),
        make_case(rho=None, epsilon=0.5, norm="l2"),
        make_case(rho=0.1),
        make_case(rho=0.125),
        make_case(rho=0.1, rho_of="centered", clip=False),
        make_case(rho=None, epsilon=0.5, norm="l2", clip=False),
    )
    rows = attack_cells(make_attack(cases=cases))
    assert [row["strength"] for row in rows] == [
        *("L-inf 8/255", "L2 0.5", "ρ 0.10 unit", "ρ 0.125 unit"),
        *("ρ 0.10 centered", "L2 0.5"),
    ]
    titles = [row["title"].split(":")[0] for row in rows]
    clipped = "PR-ResNet-32 on CIFAR-10, 10 graphs of 50 peers, known"
    assert titles == [clipped] * 4 + [f"{clipped}, not clipped"] * 2
    # The paper does not say which reading is its own.
    published = "70.0% / 28.3%"
    assert [row["paper"] for row in rows] == [
        *("-", "-", published, "-", published, "-")
    ]


def test_steps_are_named_where_they_differ():
    cases = tuple(
        make_case(rho=None, epsilon=epsilon, norm="linf", attack=f"PGD({text})")
        for epsilon, text in (
            (8 / 255, "steps=1, max_steps=7"),
            (8 / 255, "max_steps=7, steps=20"),
            (4 / 255, "steps=20"),
        )
    )
    rows = attack_cells(make_attack(cases=cases))
    assert [row["strength"] for row in rows] == [
        *("L-inf 8/255, 1 step", "L-inf 8/255, 20 steps", "L-inf 4/255")
    ]


def test_rows_that_look_alike_say_what_differs():
    """They are of two records, whose settings no cell shows."""

    def apgd(graphs=1, **options):
        text = ", ".join(f"{k}={v!r}" for k, v in options.items())
        attacker = dataclasses.replace(GRAPHS, num_graphs=graphs)
        return make_attack(
            attack="apgd",
            is_universal=False,
            cases=(
                make_case(
                    attack=f"APGD(epsilon=0.03, {text})",
                    rho=None,
                    epsilon=8 / 255,
                    norm="linf",
                ),
            ),
            threat_model=dataclasses.replace(
                THREAT_MODEL, policy="drawn", attacker=attacker
            ),
        )

    found = [
        apgd(steps=9, loss="cross_entropy"),
        apgd(steps=9, loss="dlr", num_targets=9),
        apgd(steps=9, loss="dlr", graphs=20),
    ]
    strengths = [row["strength"] for t in found for row in attack_cells(t)]
    assert strengths == ["L-inf 8/255"] * 3
    (table,) = attack_tables(found)
    assert [row[2] for row in table.rows] == [
        "L-inf 8/255, loss=cross_entropy, attack_graphs=1",
        "L-inf 8/255, loss=dlr, num_targets=9, attack_graphs=1",
        "L-inf 8/255, loss=dlr, attack_graphs=20",
    ]


def test_rows_of_two_seeds_name_them():
    record = make_attack()
    provenance = dataclasses.replace(record.provenance, seed=1)
    other = dataclasses.replace(record, provenance=provenance)
    (table,) = attack_tables([record, other])
    first, second = (row[2] for row in table.rows)
    assert first.endswith(f", seed={record.provenance.seed}")
    assert second.endswith(", seed=1")


def test_a_perturbation_of_mnist_has_the_papers_figures_for_any_graphs():
    graphs = dataclasses.replace(GRAPHS, num_peers=7)
    threat_model = dataclasses.replace(
        make_attack().threat_model, defended=graphs
    )
    record = make_attack(
        model="pr_lenet5",
        dataset="mnist",
        threat_model=threat_model,
        cases=(make_case(rho=0.2),),
    )
    (row,) = attack_cells(record)
    assert row["paper"] == "94.8% / 4.6%"
    assert row["title"].startswith(
        "PR-LeNet-5 on MNIST, 10 graphs of 7 peers, known"
    )


def test_what_has_the_same_title_shares_a_table():
    record = make_attack(cases=(make_case(), make_case(correct=120)))
    first, second = attack_tables([record, record])
    assert len(first.rows) == len(second.rows) == 2
    assert "80.0% ±6.1 correct" in first.title
    assert "60.0% ±6.9 correct" in second.title


def test_a_fooling_rate_of_no_images_is_zero():
    case = make_case(correct=0, fooled=0, rho=None)
    record = make_attack(is_universal=False, cases=(case,))
    assert fooling_rate(record, case) == 0
    (row,) = attack_cells(record)
    assert row["fooled"] == "-"


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (None, "-"),
        (0.625, "0.62"),
        (9.5, "9.50"),
        (30.06, "30.1"),
        (238.72, "239"),
        (1198.1, "1198"),
    ],
)
def test_distances_have_three_digits(distance, text):
    (row,) = attack_cells(make_attack(cases=(make_case(mean_l2=distance),)))
    assert row["L2"] == text
