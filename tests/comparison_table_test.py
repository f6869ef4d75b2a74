"""The table of Table 6."""

import dataclasses

import pytest
from sample_records import (
    make_case,
    make_comparison,
    make_comparison_case,
    make_comparison_row,
)

from peernets_tf.records.comparison_table import comparison_table


def comparison_cells(record):
    table = comparison_table(record)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


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
    assert comparison_table(record).title == (
        "CIFAR-10, 200 images; attack mode while training: train"
    )
    assert cells["backward"] == "-"
    assert cells["paper"] == "78.9% / 45.5%"


def test_a_comparison_of_a_given_file():
    given = make_comparison_row(training=None, steps=(None,))
    record = make_comparison(rows=(given, make_comparison_row()))
    steps = [cells["steps"] for cells in comparison_cells(record)]
    assert steps == ["file", "file", "1170+781", "1170+781"]


def test_a_comparison_leaves_out_what_all_rows_share():
    case = make_case(correct=170, adversarial_correct=160, fooled=30)
    row = make_comparison_row(cases=(make_comparison_case(case=case),))
    table = comparison_table(make_comparison(rows=(row,)))
    assert table.title.endswith("; 10 graphs of 50 peers")
    assert "steps" in table.columns
    assert "graphs" not in table.columns
    # 160 are right after the attack, 140 of them also before it.
    for column, share in (("attacked", "80.0%"), ("robust", "70.0%")):
        assert table.rows[0][table.columns.index(column)].startswith(share)
    other = dataclasses.replace(
        row.threat_model,
        defended=dataclasses.replace(row.threat_model.defended, num_graphs=1),
    )
    rows = tuple(
        dataclasses.replace(row, steps=(None,), threat_model=model)
        for model in (row.threat_model, other)
    )
    table = comparison_table(make_comparison(rows=rows))
    assert "steps" not in table.columns
    place = table.columns.index("graphs")
    assert [cells[place] for cells in table.rows] == ["50 x 10", "50 x 1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "cifar10_flipped"},
        {"rows": (make_comparison_row(key="pr_resnet32_exact"),)},
        {"rows": (make_comparison_row(trained_on="FGSM, exact"),)},
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
    ids=["data set", "row", "images", "attack"],
)
def test_the_papers_figures_stand_only_beside_its_own_rows(changes):
    cells = comparison_cells(make_comparison(**changes))[0]
    assert cells["paper"] == "-"
