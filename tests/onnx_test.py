"""A PeerNet with stored peers runs in onnxruntime."""

import keras
import numpy as np
import pytest

from peernets_tf import PeerRegularization, set_peers

for _name in ("onnx", "tf2onnx", "onnxruntime"):
    pytest.importorskip(
        _name, reason=f"{_name} is not installed: pip install {_name}"
    )


def test_onnxruntime_gives_the_same_logits(rng, tmp_path):
    import onnxruntime

    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(6, 3, padding="same")(inputs)
    x = PeerRegularization(num_neighbors=5)(x)
    x = keras.layers.Conv2D(4, 3, strides=2)(x)
    x = PeerRegularization(num_neighbors=3)(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    set_peers(model, rng.random((2, 5, 8, 8, 3)).astype("float32"))
    path = str(tmp_path / "model.onnx")
    model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    name = session.get_inputs()[0].name
    for batch_size in (1, 3, 70):
        images = rng.random((batch_size, 8, 8, 3)).astype("float32")
        (logits,) = session.run(None, {name: images})
        np.testing.assert_allclose(
            logits, model(images, training=False), atol=1e-5
        )
