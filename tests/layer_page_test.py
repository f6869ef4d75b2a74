"""The Python code of README.md and of pages in docs/ runs as printed."""

import pathlib
import re

import numpy as np
import pytest

from peernets_tf import load_pretrained

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture
def names(rng, tmp_path, monkeypatch):
    """What the code of the pages takes as given."""
    monkeypatch.chdir(tmp_path)
    images = rng.random((64, 32, 32, 3)).astype("float32")
    labels = np.arange(64) % 10
    return {
        "images": images,
        "labels": labels,
        "test_images": images[:8],
        "test_labels": labels[:8],
        "validation_images": images[:8],
        "validation_labels": labels[:8],
        "queries": rng.random((7, 4)),
        "keys": rng.random((20, 4)),
        "large_images": images.repeat(2, axis=1).repeat(2, axis=2),
    }


def run(page, names):
    """Runs the Python code of a page with some names, and adds its own."""
    text = (ROOT / page).read_text(encoding="utf-8")
    # Whole programs have a test of their own.
    text = re.sub(r"<!-- program: .*?<!-- end -->", "", text, flags=re.DOTALL)
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.M)
    exec("\n".join(blocks), names)


@pytest.mark.slow
def test_the_code_of_the_page_on_the_layer_runs(names):
    run("docs/layer.md", names)
    assert names["logits"].shape == (8, 10)
    large = names["large_images"][:4]
    np.testing.assert_allclose(
        names["loaded"].predict(large, verbose=0),
        names["model"].predict(large, verbose=0),
        atol=1e-5,
    )


@pytest.mark.slow
def test_the_code_of_the_readme_and_of_the_pages_on_attacks_runs(names):
    run("README.md", names)
    assert names["logits"].shape == (100, 10)
    first, peernet = names["result"], names["model"]
    # A defence in a function cannot stand in front of a PeerNet.
    names["model"] = load_pretrained("cifar10_resnet32")
    run("docs/robustness.md", names)
    names["model"] = peernet
    for result in (first, names["result"]):
        assert len(result.robust) == 8
        assert 0 <= result.robust_accuracy <= result.clean_accuracy
    run("docs/attacks.md", names)
    change = np.abs(np.asarray(names["adversarial"]) - names["test_images"])
    assert 0.03 < change.max() < 0.0315
