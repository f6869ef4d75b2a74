"""A linear model of two classes, whose gradients are known by hand."""

import numpy as np
from keras import ops

# Logits x . WEIGHTS: the loss of class 0 grows along DIRECTION.
WEIGHTS = np.array([[1.0, 3.0], [0.5, -1.5], [0.0, 0.0], [0.0, 0.25]], "f4")
DIRECTION = WEIGHTS[:, 1] - WEIGHTS[:, 0]
IMAGES = np.full((1, 2, 2, 1), 0.5, "float32")
LABELS = np.zeros(1, "int32")


def linear(images):
    return ops.matmul(ops.reshape(images, (-1, 4)), WEIGHTS)


def change(attack, **options):
    """The perturbation of IMAGES, of shape (4,)."""
    return (attack(linear, IMAGES, LABELS, **options) - IMAGES).reshape(4)
