"""Robust accuracy of a Keras model of your own.

Trains a plain network on 4,000 digits, attacks it with PGD, and prints its
accuracy before and after. Run it as: python examples/attack_own_model.py
"""

import keras
import numpy as np

from peernets_tf import attacks, datasets
from peernets_tf.records.statistics import wilson_interval

data = datasets.load("mnist5k")

# To attack a model of your own, replace this model and its training by
# model = keras.saving.load_model("model.keras"), and the digits by your images.
# The model takes images in [0, 1] and returns logits, without a softmax.
model = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        keras.layers.Conv2D(16, 5, strides=2, activation="relu"),
        keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(10),
    ]
)
model.compile(
    keras.optimizers.Adam(0.002),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
model.fit(
    data.train.images, data.train.labels, batch_size=32, epochs=3, verbose=2
)

test = data.test.first(500)
attack = attacks.PGD(epsilon=0.1, steps=40)
# A classifier compiles the model once, for the attack and for predictions. If
# your model has PeerRegularization layers, its gradient is masked: then also
# attack attacks.Classifier(peernets_tf.adaptive.bpda(model, "identity")).
classifier = attacks.Classifier(model)
adversarial = attack(classifier, test.images, test.labels, seed=0)

correct = {
    name: int(np.sum(classifier.predict(images) == test.labels))
    for name, images in (("none", test.images), (repr(attack), adversarial))
}
for name, count in correct.items():
    low, high = wilson_interval(count, len(test))
    print(f"Attack: {name}")
    print(
        f"Accuracy on {len(test)} test images: {count / len(test):.1%} "
        f"(95 % interval {low:.1%} to {high:.1%})"
    )
