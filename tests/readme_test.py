"""Every figure of the README comes from a record in results/."""

import json
import pathlib

from madry_challenge import comparison
from peernets_tf import report, results, tables

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in README.splitlines()
    if line.startswith("|")
]


def read(pattern):
    paths = sorted((ROOT / "results").glob(pattern))
    assert paths
    return [results.read_record(str(path)) for path in paths]


def test_accuracies():
    """The table of accuracies is the report of the records, row by row."""
    for record in read("train_*.json"):
        assert list(tables.training_row(record)) in ROWS
        assert not record.commit.endswith("+")


def test_learning_curves():
    for line in report.curves(read("train_*.json")).splitlines():
        assert line in README


def test_attacks():
    """So are those of attacks."""
    for record in read("attack_*.json"):
        for row in tables.attack_rows(record):
            assert list(row) in ROWS
        assert not record.commit.endswith("+")


def test_comparisons():
    paths = sorted((ROOT / "results").glob("compare_*.json"))
    assert paths
    for path in paths:
        record = comparison.read(str(path))
        for row in comparison.table_rows(record):
            assert list(row) in ROWS
        assert not record.commit.endswith("+")


def read_benchmark(name):
    path = ROOT / "results" / f"benchmark_{name}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert not record["commit"].endswith("+")
    return record["cases"]


def test_speed():
    for case in read_benchmark("nearest_neighbors"):
        ratios = case["ratio_to_whole_product"]
        cells = [
            f"{ratios[name]:.2f}"
            for name in ("nearest_neighbors", "faiss", "top_k")
        ]
        size = (case["num_queries"], case["num_keys"], case["num_channels"])
        seconds = case["median_seconds"]["nearest_neighbors"]
        row = [
            " x ".join(map(str, size)),
            f"{1000 * seconds:.0f} ms",
            *cells,
            f"{case['memory_mib']['search']:.0f} MiB",
        ]
        assert row in ROWS
    for case in read_benchmark("training_step"):
        name = case["peernet"]
        cells = [
            f"{case['median_seconds'][name]:.3f} s",
            f"{case['ratio_to_baseline'][name]:.2f}",
        ]
        assert cells in [row[1:] for row in ROWS]
    (case,) = read_benchmark("adversarial_training")
    for name, seconds in case["median_seconds"].items():
        cells = [
            name,
            f"{case['steps_a_round'] * case['batch_size'] / seconds:.1f}",
            f"{case['ratio_to_ours'][name]:.2f}",
        ]
        assert cells in ROWS
    for case in read_benchmark("attacks"):
        for name, seconds in case["median_seconds"].items():
            cells = [
                name,
                f"{case['images'] / seconds:.1f}",
                f"{case['ratio_to_ours'][name]:.2f}",
                f"{case['fooling_rate'][name]:.1%}",
            ]
            assert cells in [row[1:] for row in ROWS]


def test_links_lead_to_files_and_headings():
    headings = {
        "#" + line.lstrip("# ").lower().replace(" ", "-").replace(",", "")
        for line in README.splitlines()
        if line.startswith("#")
    }
    for target in README.split("](")[1:]:
        target = target.split(")")[0]
        if target.startswith("#"):
            assert target in headings
        elif "://" not in target:
            assert (ROOT / target).exists(), target
