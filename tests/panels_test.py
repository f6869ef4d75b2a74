"""How images and perturbations are shown in a grid."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from peernets_tf import pictures
from peernets_tf.errors import UserError
from peernets_tf.pictures import panels


def test_the_factor_uses_all_contrast_and_clips_nothing(rng):
    for scale in (1e-3, 0.02, 0.3, 1.0):
        v = scale * rng.uniform(-1, 1, (4, 4, 3))
        factor = panels.contrast_factor(np.abs(v).max())
        shown = panels.amplified(v, factor)
        np.testing.assert_allclose(shown, 0.5 + factor * v, atol=1e-12)
        assert 0.44 < np.abs(shown - 0.5).max() <= 0.5 + 1e-12
        # Two digits, so that the caption states it exactly.
        assert float(f"{factor:.2g}") == pytest.approx(factor)
    assert panels.contrast_factor(0.0) == 1.0


def test_norms_are_on_the_pixel_scale():
    assert panels.pixel_norms(np.full((2, 2, 1), -1 / 255)) == (
        pytest.approx(2.0),
        pytest.approx(1.0),
    )


def test_norms_are_written_without_exponents():
    assert panels.norms_text(3799.6, 0.4361) == "L2 3800\nL∞ 0.436"
    assert panels.norms_text(99.96, 204.5) == "L2 100\nL∞ 204"


def test_a_wrong_class_is_marked_without_color():
    axes = Figure().subplots(1, 2)
    for part, is_right in zip(axes, (True, False), strict=True):
        panels.show(part, np.zeros((2, 2, 3)), pictures.LIGHT)
        panels.verdict(part, "cat", is_right, pictures.LIGHT)
    assert [part.get_xlabel() for part in axes] == ["✓ cat", "✗ cat"]
    right, wrong = (part.spines["top"].get_linewidth() for part in axes)
    assert wrong > 2 * right


def test_images_of_other_channels_are_refused():
    axes = Figure().subplots()
    for channels in (2, 4):
        image = np.zeros((2, 2, channels))
        with pytest.raises(
            UserError, match=f"Received: images with {channels}"
        ):
            panels.show(axes, image, pictures.LIGHT)


def test_blocks_stand_below_each_other():
    with pictures.styled(pictures.LIGHT):
        figure = Figure(figsize=(4, 6))
        blocks = panels.blocks(figure, 2, 2, 3)
        figure.canvas.draw()
    assert [block.shape for block in blocks] == [(2, 3), (2, 3)]
    tops = [
        block[row, 0].get_position().y1 for block in blocks for row in (0, 1)
    ]
    within, between, again = -np.diff(tops)
    assert within == pytest.approx(again)
    assert between > within
