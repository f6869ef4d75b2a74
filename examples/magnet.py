"""MagNet in front of a Keras model of your own.

Trains MagNet's two autoencoders on 3,500 digits, puts them in front of a
published LeNet-5, and counts which images are rejected. Run it as:
python examples/magnet.py
"""

import keras

from peernets_tf import datasets, load_pretrained
from peernets_tf.defenses import with_magnet

digits = datasets.load("mnist5k")
train, test = digits.train.images, digits.test
# For a model of your own, replace this model and the digits. It takes images in
# [0, 1] and returns logits.
model = load_pretrained("mnist_lenet5")

# The last 500 images set the thresholds: at most 1 % of them are rejected.
defended = with_magnet(model, train[:-500], train[-500:], epochs=3, verbose=2)
defended.save("magnet.keras")

# One file, which needs nothing of this package. Its last logit is rejection.
loaded = keras.saving.load_model("magnet.keras")
rejection = loaded.output_shape[-1] - 1
predicted = loaded.predict(test.images, verbose=0).argmax(axis=1)
negative = loaded.predict(1 - test.images, verbose=0).argmax(axis=1)
rejected = {
    "digits": (predicted == rejection).mean(),
    "negatives of digits": (negative == rejection).mean(),
}
accuracy = (predicted == test.labels).mean()
print(f"Accuracy on {len(test)} digits: {accuracy:.1%}")
for name, share in rejected.items():
    print(f"Rejected {name}: {share:.1%}")
