"""The code of docs/layer.md runs as it is printed."""

import pathlib
import re

import numpy as np
import pytest

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "layer.md"


@pytest.mark.slow
def test_the_code_of_the_page_runs(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images = rng.random((64, 32, 32, 3)).astype("float32")
    labels = np.arange(64) % 10
    names = {
        "images": images,
        "labels": labels,
        "test_images": images[:8],
        "test_labels": labels[:8],
        "queries": rng.random((7, 4)),
        "keys": rng.random((20, 4)),
        "large_images": images.repeat(2, axis=1).repeat(2, axis=2),
    }
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.M)
    exec("\n".join(blocks), names)
    assert names["logits"].shape == (8, 10)
    large = names["large_images"][:4]
    np.testing.assert_allclose(
        names["loaded"].predict(large, verbose=0),
        names["model"].predict(large, verbose=0),
        atol=1e-5,
    )
