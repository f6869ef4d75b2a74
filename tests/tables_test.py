"""Rows of tables from records, and the paper's figures beside them."""

import dataclasses

import pytest
from sample_records import (
    GRAPHS,
    THREAT_MODEL,
    make_attack,
    make_benchmark,
    make_case,
    make_comparison,
    make_comparison_case,
    make_comparison_row,
    make_training,
    make_trials,
)

from peernets_tf.records import tables


def test_markdown_table():
    table = tables.markdown_table(("a", "long"), [("1", "2"), ("100", "x")])
    assert table.splitlines() == [
        "| a   | long |",
        "|-----|------|",
        "| 1   | 2    |",
        "| 100 | x    |",
    ]


def test_trainings():
    peernet = make_training(correct=183, initial_model=None)
    network = make_training(model="lenet5", correct=190, graphs=None)
    assert tables.training_table([peernet, network]).rows == (
        ("pr_lenet5", "mnist", "1", "50 x 10", "200", "91.50% ±4.69", "98.20%"),
        ("lenet5", "mnist", "8 + 1", "-", "200", "95.00% ±3.96", "98.60%"),
    )
    other = make_training(dataset="mnist5k")
    assert tables.training_row(other)[-1] == "-"


def history(*accuracies):
    return tuple(
        {"epoch": i, "val_accuracy": accuracy}
        for i, accuracy in enumerate(accuracies, start=1)
    )


def test_curves_have_a_column_for_each_training():
    trainings = [
        make_training(model="a", history=history(0.5, 0.75)),
        make_training(model="b", history=history(0.25)),
    ]
    trainings = [dataclasses.replace(t, initial_model=None) for t in trainings]
    (table,) = tables.curves(trainings)
    assert table.title == "MNIST, validation accuracy"
    assert table.columns == ("epoch", "a", "b")
    assert table.rows == (("1", "50.0%", "25.0%"), ("2", "75.0%", ""))


def test_each_data_set_has_curves_of_its_own():
    trainings = [
        make_training(dataset=dataset, history=history(0.5))
        for dataset in ("mnist", "cifar10", "mnist")
    ]
    first, second = tables.curves(trainings)
    assert (len(first.columns), len(second.columns)) == (3, 2)
    assert second.title == "CIFAR-10, validation accuracy"


def test_curves_count_the_epochs_of_the_initial_model():
    first = make_training(history=history(0.5), initial_model=None)
    second = make_training(history=history(0.75))
    assert second.initial_model.epochs == 8
    (table,) = tables.curves([first, second])
    assert table.rows == (("1", "50.0%", ""), ("9", "", "75.0%"))


def test_curves_leave_out_epochs_without_a_validation():
    record = make_training(
        history=({"epoch": 1, "loss": 0.5},), initial_model=None
    )
    assert tables.curves([record])[0].rows == ()


def attack_cells(record):
    """Returns the title and the cells of each row, by column."""
    return [
        {"title": table.title} | dict(zip(table.columns, row, strict=True))
        for table in tables.attack_tables([record])
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


def test_graphs_drawn_in_each_step_stand_beside_the_backward_pass():
    drawn = dataclasses.replace(THREAT_MODEL, expectation=5)
    (row,) = attack_cells(make_attack(threat_model=drawn))
    assert row["backward"] == "identity, EOT 5"
    noise = make_attack(threat_model=drawn, follows_gradient=False)
    assert attack_cells(noise)[0]["backward"] == "-"


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
    assert row["strength"] == "smallest"
    # 64 of the 160 that were correct.
    assert row["fooled"] == "40.0% ±7.7"
    assert (row["L2"], row["L-inf"]) == ("30.1", "0.62")
    assert row["paper"] == "100.0% / 30.1 / 0.62"


def test_curves_leave_defences_out():
    plain = make_training()
    defended = make_training(
        model="magnet_resnet32", history=(), defense="MagNet(epochs=5)"
    )
    assert tables.curves([plain, defended]) == tables.curves([plain])
    assert defended.epochs.endswith(" + MagNet")


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
    ("follows_gradient", "rho", "rate", "backward"),
    [
        # Noise at a rho is the control of universal perturbations.
        (False, 0.08, "45.0% ±6.9", "-"),
        (False, None, "40.0% ±7.7", "-"),
        (True, 0.08, "40.0% ±7.7", "identity"),
    ],
)
def test_noise_at_a_rho_counts_as_universal_perturbations_do(
    follows_gradient, rho, rate, backward
):
    record = make_attack(
        attack="any",
        is_universal=False,
        follows_gradient=follows_gradient,
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
    first, second = tables.attack_tables([record, record])
    assert len(first.rows) == len(second.rows) == 2
    assert "80.0% ±6.1 correct" in first.title
    assert "60.0% ±6.9 correct" in second.title


def test_no_table_is_wider_than_a_screen():
    smallest = make_case(rho=None, epsilon=None, norm="linf", mean_l2=1234.5)
    fixed = make_case(
        rho=None, epsilon=8 / 255, norm="linf", changed=160, fooled=160
    )
    record = make_attack(
        attack="gradient_descent", is_universal=False, cases=(smallest, fixed)
    )
    for table in (
        *tables.attack_tables([record, make_attack()]),
        tables.comparison_table(make_comparison()),
        tables.training_table([make_training()]),
    ):
        text = tables.markdown_table(table.columns, table.rows)
        assert max(map(len, text.splitlines())) <= 110


def test_a_fooling_rate_of_no_images_is_zero():
    case = make_case(correct=0, fooled=0, rho=None)
    record = make_attack(is_universal=False, cases=(case,))
    assert tables.fooling_rate(record, case) == 0
    (row,) = attack_cells(record)
    assert row["fooled"] == "-"


def test_a_margin_is_the_larger_side_of_the_wilson_interval():
    # 0 of 200 allow z^2 / (200 + z^2) = 3.84 / 203.84 = 1.9 %.
    assert tables.rate_text(0, 200) == "0.0% ±1.9"
    assert tables.rate_text(200, 200, digits=2) == "100.00% ±1.88"
    assert tables.rate_text(646, 1000) == "64.6% ±3.0"


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


def comparison_cells(record):
    return [
        dict(zip(tables.COMPARISON_COLUMNS, row, strict=True))
        for row in tables.comparison_table(record).rows
    ]


def test_comparisons():
    exact, identity = comparison_cells(make_comparison())
    assert exact["row"] == "PR-ResNet-32"
    assert exact["steps"] == "1170+781"
    assert exact["backward"] == "exact"
    assert exact["clean"] == "80.0% ±6.1"
    assert exact["attacked"] == "50.0% ±6.9"
    assert exact["paper"] == "77.4% / 64.8%"
    assert identity["backward"] == "identity"
    assert identity["paper"] == "-"


def test_a_comparison_of_a_network_without_peers():
    row = make_comparison_row(
        key="resnet32_a",
        trained_on="PGD",
        threat_model=None,
        steps=(1170, 250),
        cases=(make_comparison_case(),),
    )
    record = make_comparison(rows=(row,))
    (cells,) = comparison_cells(record)
    assert tables.comparison_table(record).title == (
        "CIFAR-10, 200 images; attack mode while training: train"
    )
    assert cells["backward"] == "-"
    assert cells["paper"] == "78.9% / 45.5%"


def test_a_comparison_of_a_given_file():
    row = make_comparison_row(training=None, steps=(None,))
    cells = comparison_cells(make_comparison(rows=(row,)))[0]
    assert cells["steps"] == "file"


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "cifar10_flipped"},
        {"rows": (make_comparison_row(key="pr_resnet32_exact"),)},
        {
            "rows": (
                make_comparison_row(
                    cases=(
                        make_comparison_case(
                            case=make_case(attack="PGD(epsilon=0.1)")
                        ),
                    )
                ),
            )
        },
    ],
    ids=["data set", "row", "attack"],
)
def test_the_papers_figures_stand_only_beside_its_own_rows(changes):
    cells = comparison_cells(make_comparison(**changes))[0]
    assert cells["paper"] == "-"


def test_benchmarks():
    (table,) = tables.benchmark_tables(make_benchmark())
    assert table.title == (
        "Benchmark attacks: attack=PGD-40, images=100, "
        "image_shape=[32, 32, 3], memory_mib.search=9.125"
    )
    assert table.columns == ("timed", "median seconds", "fooling rate")
    assert table.rows == (("ours", "7.1", "1"), ("art", "20.5", "-"))


def test_a_benchmark_has_a_table_for_each_case():
    record = make_benchmark()
    record = dataclasses.replace(record, cases=2 * record.cases)
    assert len(tables.benchmark_tables(record)) == 2


def test_a_title_stands_in_bold_above_its_table():
    table = tables.Table("title", ("a",), (("1",),))
    assert table.markdown() == "**title**\n\n| a |\n|---|\n| 1 |"
    untitled = dataclasses.replace(table, title="")
    assert untitled.markdown() == "| a |\n|---|\n| 1 |"
    assert tables.markdown([untitled, table]).count("\n\n") == 2


def test_trials_are_summed_and_failures_are_listed():
    counts, failures = tables.trials_tables(make_trials())
    assert counts.rows == (
        ("kills", "3", "3", "0"),
        ("files", "5", "4", "1"),
        ("all", "8", "7", "1"),
    )
    assert failures.rows == (("files", "record.json: empty", "exit status 7"),)
    assert len(tables.trials_tables(make_trials(failures=()))) == 1
