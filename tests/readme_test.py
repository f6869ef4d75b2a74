"""Every figure of the README comes from a record in results/."""

import json
import pathlib

from peernets_tf import results, tables

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_accuracies():
    """The table of accuracies is the report of the records, row by row."""
    records = [
        results.read_json(str(path))
        for path in sorted((ROOT / "results").glob("train_*.json"))
    ]
    assert records
    rows = [line for line in README.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    for record in records:
        assert list(tables.training_row(record)) in rows
        assert not record.commit.endswith("+")


def test_speed():
    path = ROOT / "results" / "benchmark_nearest_neighbors.json"
    for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
        ratios = case["ratio_to_whole_product"]
        assert f"{ratios['nearest_neighbors']:.2f}" in README


def test_links_lead_to_files():
    for target in README.split("](")[1:]:
        target = target.split(")")[0]
        if "://" not in target:
            assert (ROOT / target).exists(), target
