"""Every figure of the README comes from a record in results/."""

import json
import pathlib

from peernets_tf import results

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_accuracies():
    records = sorted((ROOT / "results").glob("train_*.json"))
    for path in records:
        record = results.read_json(str(path))
        assert f"{record.accuracy:.2%}" in README, path.name
        assert not record.commit.endswith("+"), path.name


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
