"""The tables of benchmarks."""

import dataclasses

from sample_records import make_benchmark

from peernets_tf.records.benchmark_tables import (
    benchmark_tables,
    median_ratio,
    ratio_text,
)


def test_benchmarks():
    (table,) = benchmark_tables(make_benchmark())
    assert table.title == (
        "Benchmark attacks: attack=PGD-40, images=100, "
        "image_shape=[32, 32, 3], memory_mib.search=9.125"
    )
    assert table.columns == ("timed", "median seconds", "fooling rate")
    assert table.rows == (("ours", "7.1", "1"), ("art", "20.5", "-"))


def test_a_benchmark_has_a_table_for_each_case():
    record = make_benchmark()
    record = dataclasses.replace(record, cases=2 * record.cases)
    assert len(benchmark_tables(record)) == 2


def test_a_ratio_is_taken_within_each_round():
    seconds = {
        "ours": [1.0, 2.0, 1.0, 4.0, 1.0],
        "other": [2.0, 6.0, 4.0, 20.0, 6.0],
    }
    assert median_ratio(seconds, "other", "ours") == 4
    assert ratio_text(seconds, "other", "ours") == "4.00 (2.00-6.00)"
    assert ratio_text(seconds, "ours", "ours") == "1.00"
    assert ratio_text({"a": [1.0], "b": [4.0]}, "a", "b") == "0.25"
