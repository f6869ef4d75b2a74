"""How a network is trained, in addition to what config.json says."""

import dataclasses

from peernets_tf import models
from peernets_tf.errors import UserError
from peernets_tf.lazy import keras

# The challenge's networks, and the maps of their first convolution and of
# their three stages.
FILTERS = {"w32-10": (16, 160, 320, 640), "thin": (16, 16, 32, 64)}
NETWORKS = (*FILTERS, *models.MODEL_NAMES)
# How the model works while a batch is attacked: as in training, or as in
# inference.
MODES = ("train", "eval")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How a network is trained, in addition to what config.json says.

    Attributes:
        network: str, one of `NETWORKS`.
        attack_mode: `"train"` or `"eval"`, see
            `madry_challenge.adversarial_training.AdversarialTrainer`.
        backward: the backward pass of PeerRegularization layers that the attack
            follows, see `peernets_tf.adaptive.bpda`.
        augment: bool or None, whether training images are shifted and
            mirrored; None: only those of CIFAR.
        num_peers: int, N, the images of one graph of a PeerNet.
        num_graphs: int, M, the graphs that the trained PeerNet keeps.
        validation_size: int, the number of test images used at each checkpoint.
        initial_model: str or None, a .keras file or the name of a preset.
            Layers start from the weights of its layers of the same name.
    """

    network: str
    attack_mode: str = "train"
    backward: str = "exact"
    augment: bool | None = None
    num_peers: int = 50
    num_graphs: int = 10
    validation_size: int = 1000
    initial_model: str | None = None


def check_backend() -> None:
    """Raises a `UserError` unless Keras uses its TensorFlow backend."""
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            "adversarial training needs KERAS_BACKEND=tensorflow. Received: "
            f"{keras.backend.backend()}"
        )
