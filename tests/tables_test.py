"""What the tables of all kinds of records share."""

import dataclasses

from sample_records import (
    make_attack,
    make_case,
    make_comparison,
    make_training,
)

from peernets_tf.records import tables
from peernets_tf.records.attack_tables import attack_tables
from peernets_tf.records.comparison_table import comparison_table
from peernets_tf.records.training_tables import training_table


def test_markdown_table():
    table = tables.markdown_table(("a", "long"), [("1", "2"), ("100", "x")])
    assert table.splitlines() == [
        "| a   | long |",
        "|-----|------|",
        "| 1   | 2    |",
        "| 100 | x    |",
    ]


def test_no_table_is_wider_than_a_screen():
    smallest = make_case(rho=None, epsilon=None, norm="linf", mean_l2=1234.5)
    fixed = make_case(
        rho=None, epsilon=8 / 255, norm="linf", changed=160, fooled=160
    )
    record = make_attack(
        attack="gradient_descent", is_universal=False, cases=(smallest, fixed)
    )
    for table in (
        *attack_tables([record, make_attack()]),
        comparison_table(make_comparison()),
        training_table([make_training()]),
    ):
        text = tables.markdown_table(table.columns, table.rows)
        assert max(map(len, text.splitlines())) <= 110


def test_a_margin_is_the_larger_side_of_the_wilson_interval():
    # 0 of 200 allow z^2 / (200 + z^2) = 3.84 / 203.84 = 1.9 %.
    assert tables.rate_text(0, 200) == "0.0% ±1.9"
    assert tables.rate_text(200, 200, digits=2) == "100.00% ±1.88"
    assert tables.rate_text(646, 1000) == "64.6% ±3.0"


def test_a_title_stands_in_bold_above_its_table():
    table = tables.Table("title", ("a",), (("1",),))
    assert table.markdown() == "**title**\n\n| a |\n|---|\n| 1 |"
    untitled = dataclasses.replace(table, title="")
    assert untitled.markdown() == "| a |\n|---|\n| 1 |"
    assert tables.markdown([untitled, table]).count("\n\n") == 2
