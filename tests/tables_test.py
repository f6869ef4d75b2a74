"""Rows of tables from records, and the paper's figures beside them."""

import dataclasses

from results_test import make_attack_result

from peernets_tf import paper, tables


def cells(record):
    return [
        dict(zip(tables.ATTACK_COLUMNS, row, strict=True))
        for row in tables.attack_rows(record)
    ]


def test_universal_rates_count_all_images():
    (row,) = cells(make_attack_result())
    assert row["peers"] == "50 x 10, known"
    assert row["backward"] == "identity"
    assert row["strength"] == "rho 0.08"
    assert row["clean"] == "80.0%"
    assert row["attacked"] == "50.0%"
    # 90 of 200 predictions changed.
    assert row["fooled"] == "45.0%"
    assert row["paper"] == "83.3% / 13.0%"


def test_other_rates_count_images_that_were_correct():
    record = make_attack_result()
    case = {**record.cases[0], "rho": None, "epsilon": None, "norm": "linf"}
    record = dataclasses.replace(
        record, model="resnet32", attack="pgd", peers={}, cases=[case]
    )
    (row,) = cells(record)
    assert row["peers"] == row["backward"] == "-"
    assert row["strength"] == "smallest"
    # 64 of the 160 that were correct.
    assert row["fooled"] == "40.0%"
    assert (row["mean L2"], row["mean L-inf"]) == ("30.1", "0.62")
    assert row["paper"] == "100.0% / 30.1 / 0.62"


def test_only_noise_at_a_rho_counts_as_universal_ones():
    record = dataclasses.replace(make_attack_result(), attack="noise")
    assert cells(record)[0]["fooled"] == "45.0%"
    assert cells(record)[0]["backward"] == "-"
    record = dataclasses.replace(record, attack="pgd")
    assert cells(record)[0]["fooled"] == "40.0%"


def test_strengths_are_named():
    record = make_attack_result()
    cases = [
        {**record.cases[0], "rho": None, "epsilon": 8 / 255, "norm": "linf"},
        {**record.cases[0], "rho": None, "epsilon": 0.5, "norm": "l2"},
        {**record.cases[0], "rho": 0.1},
        {**record.cases[0], "rho": 0.125},
    ]
    rows = cells(dataclasses.replace(record, cases=cases))
    assert [row["strength"] for row in rows] == [
        *("linf 8/255", "l2 0.5", "rho 0.10", "rho 0.125")
    ]
    assert [row["paper"] for row in rows[:2]] == ["-", "-"]


def test_a_table_has_a_row_for_each_case():
    record = make_attack_result()
    record = dataclasses.replace(record, cases=2 * record.cases)
    assert len(tables.attack_table([record, record]).splitlines()) == 6


def test_the_papers_rates_are_consistent():
    assert all(0.6 < value < 1 for value in paper.ACCURACY.values())
    for row in paper.UNIVERSAL.values():
        accuracies, rates = zip(*(row[rho] for rho in sorted(row)), strict=True)
        assert all(0 < value < 1 for value in accuracies + rates)
        # A stronger perturbation fools more, but for LeNet-5 at rho = 1.
        assert list(rates[:4]) == sorted(rates[:4])
        # What was correct and is not any more was fooled.
        assert all(a + r < 1.12 for a, r in zip(accuracies, rates, strict=True))
    for rate, l2, linf in paper.SAMPLE_SPECIFIC.values():
        assert 0 < rate <= 1
        assert l2 is None or linf < l2 <= linf * 3072**0.5


def test_a_fooling_rate_of_no_images_is_zero():
    record = make_attack_result(attack="fgsm")
    case = {**record.cases[0], "correct": 0, "fooled": 0, "rho": None}
    assert tables.fooling_rate(record, case) == 0
