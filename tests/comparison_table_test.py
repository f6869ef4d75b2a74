"""The table of Table 6."""

import pytest
from sample_records import (
    make_case,
    make_comparison,
    make_comparison_case,
    make_comparison_row,
)

from peernets_tf.records.comparison_table import (
    COMPARISON_COLUMNS,
    comparison_table,
)


def comparison_cells(record):
    return [
        dict(zip(COMPARISON_COLUMNS, row, strict=True))
        for row in comparison_table(record).rows
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
    assert comparison_table(record).title == (
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
