"""The record of a suite holds counts that make sense, and its tables fit."""

import pytest
from sample_records import make_suite, make_suite_case, make_suite_result

from peernets_tf import records
from peernets_tf.errors import UserError
from peernets_tf.records import statistics, suite_tables


def test_rates_are_derived_from_counts():
    result = make_suite_result()
    assert result.clean_accuracy == 0.9
    assert result.robust_accuracy == 0.2
    assert result.interval == statistics.wilson_interval(40, 200)
    assert [check.verdict for check in result.checks] == ["passed", "failed"]
    assert result.failed == result.checks[1:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacked": 181}, "pgd.attacked must lie between 0 and correct=180"),
        ({"fooled": 181}, "fooled must lie between 0 and attacked=180"),
        ({"robust": 181}, "pgd.robust must lie between 0 and correct=180"),
        ({"robust": 41}, "robust must be 41, that of the last attack"),
        ({"queries": -1}, "queries must be finite and at least 0"),
        ({"epsilon": -1.0}, "epsilon must be finite and at least 0"),
    ],
)
def test_refuses_impossible_cases(changes, message):
    with pytest.raises(UserError, match=message):
        case = make_suite_case(**{"robust": 40, **changes})
        make_suite_result(cases=(case,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total": 0}, "total must be at least 1"),
        ({"correct": 201}, "correct must lie between 0 and total=200"),
        ({"robust": 181}, "robust must lie between 0 and correct=180"),
        ({"budget": -0.1}, "budget must be finite and at least 0"),
    ],
)
def test_refuses_impossible_results(changes, message):
    with pytest.raises(UserError, match=message):
        make_suite_result(**changes)


def test_refuses_what_does_not_fit():
    with pytest.raises(UserError, match="result.total must be test_size=100"):
        make_suite(test_size=100)
    with pytest.raises(UserError, match="verdict must be one of"):
        records.Check(name="a", verdict="maybe", measured="")


def test_no_image_may_be_left_to_attack():
    case = make_suite_case(attacked=0, fooled=0, robust=0, queries=0)
    result = make_suite_result(correct=0, robust=0, cases=(case,))
    (worst,) = suite_tables.result_tables(result, "A")[0].rows
    assert worst[3:] == ("0", "0", "0.0% ±1.9", "-")


def test_tables():
    attacks, checks = suite_tables.suite_tables(make_suite())
    assert attacks.title == (
        "PR-ResNet-32 on CIFAR-10, 10 graphs of 50 peers, known, adaptive, "
        "L-inf 8/255: 200 images, 90.0% ±4.9 correct before the attacks"
    )
    assert attacks.columns == suite_tables.SUITE_COLUMNS
    # What only serves the checklist comes last, and has no accuracy.
    assert attacks.rows == (
        ("pgd", "white-box", "exact", "180", "120", "30.0% ±6.7", "41"),
        ("square", "black-box", "-", "60", "20", "20.0% ±6.1", "2,500"),
        ("worst case", "-", "-", "180", "140", "20.0% ±6.1", "-"),
        ("large-ball", "white-box", "exact", "100", "100", "-", "74"),
    )
    assert checks.title == (
        "Checklist of PR-ResNet-32 on CIFAR-10, 10 graphs of 50 peers, known, "
        "adaptive"
    )
    assert checks.rows[1] == (
        "white-box beats black-box and transfer",
        "failed",
        "20 of 60 images are fooled by the latter only",
    )


def make_table_7(**changes):
    def case(name, fooled, **fields):
        return make_suite_case(
            name=name, fooled=fooled, is_counted=False, robust=180, **fields
        )

    black = {"access": "black-box", "queries": 180 * 6145}
    cases = (
        case("single-8", 90),
        case("single-8-identity", 162, backward="identity"),
        case("single-8-delta-0.01", 18, **black),
        case("single-8-delta-4", 45, **black),
        case("iterative-0.5-delta-4", 0, epsilon=0.5 / 255, **black),
    )
    result = make_suite_result(
        suite="table7", cases=cases, robust=180, **changes
    )
    return make_suite(result=result)


def test_table_7_stands_beside_the_papers():
    record = make_table_7()
    table, checks = suite_tables.suite_tables(record)
    assert table.title == (
        "PR-ResNet-32 on CIFAR-10, 10 graphs of 50 peers, known, table7: "
        "images fooled of 180 that were classified correctly"
    )
    ours = ("50.0% ±7.2", "90.0% ±5.3")
    assert table.rows == (
        (
            *("single step", "8/255", "0.01/255", *ours),
            *("10.0% ±5.3", "6,145", "34% / 14%"),
        ),
        (
            *("single step", "8/255", "4/255", *ours),
            *("25.0% ±6.8", "6,145", "34% / 14%"),
        ),
        # The paper has no such row, and no white box ran.
        (
            *("iterative", "0.5/255", "4/255", "-", "-"),
            *("0.0% ±2.1", "6,145", "-"),
        ),
    )
    assert checks.title.endswith("table7")
    few = suite_tables.suite_tables(make_table_7(budget=0.1))
    assert "table7 with budget 0.1" in few[0].title


def test_another_budget_stands_in_the_titles():
    result = make_suite_result(budget=0.1)
    for table in suite_tables.result_tables(result, "A"):
        assert "adaptive with budget 0.1" in table.title


@pytest.mark.parametrize(
    ("passes", "text"),
    [
        (["identity", "identity"], "adaptive, identity"),
        (["exact", "identity"], "adaptive"),
        (["exact", "exact"], "adaptive"),
    ],
)
def test_the_one_backward_pass_stands_in_the_titles(passes, text):
    cases = [make_suite_case(backward=backward) for backward in passes]
    # These do not count: a black box, a check, an attack without images.
    cases.append(make_suite_case(name="square", access="black-box"))
    cases.append(make_suite_case(backward="soft", is_counted=False))
    cases.append(make_suite_case(backward="soft", attacked=0, fooled=0))
    result = make_suite_result(cases=tuple(cases), robust=60)
    assert result.backwards == tuple(dict.fromkeys(passes))
    assert result.title == text
    attacks, checks = suite_tables.result_tables(result, "A")
    assert attacks.title.startswith(f"A, {text}, L-inf")
    assert checks.title == f"Checklist of A, {text}"
