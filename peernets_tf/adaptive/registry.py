"""All attacks by name, those that know peers among them."""

from peernets_tf import attacks
from peernets_tf.adaptive.neighbor_guided import NeighborGuided

ATTACKS: dict[str, type[attacks.Attack]] = {
    **attacks.ATTACKS,
    NeighborGuided.name: NeighborGuided,
}
