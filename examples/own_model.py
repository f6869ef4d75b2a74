"""A Peer Regularization layer in a network of your own.

Trains a small network on 4,000 digits (no download), saves it and loads it
again. Run it as: python examples/own_model.py
"""

import pathlib

import keras
import numpy as np

from peernets_tf import PeerRegularization, datasets, draw_peers, set_peers

data = datasets.load("mnist5k")

inputs = keras.Input((28, 28, 1))
x = keras.layers.Conv2D(16, 5, strides=3, activation="relu")(inputs)
x = PeerRegularization(num_neighbors=10)(x)  # (B, 8, 8, 16), as its input
x = keras.layers.Conv2D(32, 3, activation="relu")(x)
x = keras.layers.Flatten()(x)
model = keras.Model(inputs, keras.layers.Dense(10)(x))

# In training, the images of a batch are each other's peers.
model.compile(
    keras.optimizers.Adam(0.002),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(
    data.train.images, data.train.labels, batch_size=32, epochs=4, verbose=2
)

# In inference the peers are fixed: here 50 training images. Store them again
# whenever the weights change.
set_peers(model, draw_peers(data.train.images, 50))
logits = model.predict(data.test.images, verbose=0)
accuracy = np.mean(logits.argmax(axis=1) == data.test.labels)
print(f"Accuracy on {len(data.test)} test images: {accuracy:.1%}")

# The file also holds the peers, so a loaded model predicts the same logits.
path = pathlib.Path("runs/own_model.keras")
path.parent.mkdir(exist_ok=True)
model.save(path)
loaded = keras.saving.load_model(path)
difference = np.abs(loaded.predict(data.test.images, verbose=0) - logits).max()
print(f"Saved as {path}; loaded, its logits differ by {difference:g}")
