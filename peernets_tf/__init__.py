"""PeerNets for Keras: the Peer Regularization layer, peers, published models.

    x = PeerRegularization()(x)  # in a Keras model, on maps (B, H, W, C)
    model.fit(images, labels)
    set_peers(model, draw_peers(images, 50))  # before inference

Peers are the images with which the layer compares an image. A graph is a set of
N peers. A model stores M graphs.
"""

from typing import TYPE_CHECKING

from peernets_tf import interrupts, lazy

if TYPE_CHECKING:
    from peernets_tf.evaluation import robust_accuracy
    from peernets_tf.layers import (
        PeerRegularization,
        nearest_neighbors,
        nearest_neighbors_in_blocks,
    )
    from peernets_tf.models import insert_peer_regularization, load_pretrained
    from peernets_tf.peers import (
        PeerBank,
        RefreshPeers,
        draw_peers,
        encode_peers,
        monte_carlo,
        set_peers,
    )
    from peernets_tf.training import presets
else:
    __getattr__, __dir__ = lazy.exports(
        __name__,
        PeerBank="peers",
        PeerRegularization="layers",
        RefreshPeers="peers",
        draw_peers="peers",
        encode_peers="peers",
        insert_peer_regularization="models",
        load_pretrained="models",
        monte_carlo="peers",
        nearest_neighbors="layers",
        nearest_neighbors_in_blocks="layers",
        presets="training",
        robust_accuracy="evaluation",
        set_peers="peers",
    )

__all__ = [
    "PeerBank",
    "PeerRegularization",
    "RefreshPeers",
    "draw_peers",
    "encode_peers",
    "insert_peer_regularization",
    "load_pretrained",
    "monte_carlo",
    "nearest_neighbors",
    "nearest_neighbors_in_blocks",
    "presets",
    "robust_accuracy",
    "set_peers",
]
__version__ = "0.1.0"

if lazy.is_command():
    interrupts.end_quietly()
else:
    # A command does this after it has read its flags.
    lazy.import_exports(__name__)
