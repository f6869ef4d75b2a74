"""Keras's own views of a model show the layer: summary and plot_model."""

import shutil

import keras
import matplotlib.image
import pytest
from small_models import make_peernet

from peernets_tf.peers import peer_layers


def test_summary(stripes):
    lines = []
    # A layer of a high number would have a name that is too long for its row.
    keras.utils.clear_session()
    model = make_peernet(stripes)
    (layer,) = peer_layers(model)
    model.summary(print_fn=lines.append, line_length=80)
    text = "".join(lines)
    (row,) = [x for x in text.splitlines() if layer.name in x]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    # Two kernels of four channels, and a bias.
    assert cells == [layer.name, "(None, 3, 3, 4)", "9"]
    assert "(PeerRegularization)" in text


def test_plot_model(stripes, tmp_path):
    pytest.importorskip("pydot", reason="no pydot: pip install pydot")
    if shutil.which("dot") is None:
        pytest.skip("no dot: install graphviz")
    path = str(tmp_path / "model.png")
    keras.utils.plot_model(make_peernet(stripes), path, show_shapes=True)
    height, width, _ = matplotlib.image.imread(path).shape
    assert height > width > 100
