"""What an attacker knows of a PeerNet's graphs of peers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from peernets_tf import adaptive, records
from peernets_tf.attacks import checks
from peernets_tf.errors import UserError
from peernets_tf.lazy import keras, module
from peernets_tf.plain_numbers import make_plain
from peernets_tf.seeds import Stream
from peernets_tf.types import LogitsFunction

if TYPE_CHECKING:
    from peernets_tf import peers
else:
    peers = module("peernets_tf.peers")

POLICIES = ("known", "drawn", "fresh")
# Graphs that an attacker draws by default.
_NUM_DRAWN = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphsConfig:
    """Which graphs predictions use, and which the attacker knows.

    Attributes:
        policy: `"known"`: the attacker knows the graphs that predictions use.
            `"drawn"`: the attacker knows only that graphs are drawn from the
            training images, and averages logits over graphs of its own.
            `"fresh"`: the attacker knows the model's graphs, but predictions
            use newly drawn ones.
        num_peers: int or None, N, the peers of a graph; None for as many as
            the stored graphs have.
        num_graphs: int or None, M, the graphs whose logits predictions
            average; None for as many as are stored. If N and M are None, the
            stored graphs are the model's; otherwise new ones are drawn.
        attack_graphs: int or None, the graphs whose logits the attacker
            averages; None for M, or 10 with the policy `"drawn"`.
        expectation: int or None, how many of its graphs the attacker draws anew
            in each step, to average over them; None for all of them in every
            step. With the policy `"drawn"`, `attack_graphs` is then twice as
            many by default, if that is more than 10.

    Raises:
        UserError: if an argument is out of range.
    """

    policy: str = "known"
    num_peers: int | None = None
    num_graphs: int | None = None
    attack_graphs: int | None = None
    expectation: int | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        if self.policy not in POLICIES:
            raise UserError(
                f"`policy` must be one of {POLICIES}. Received: {self.policy}"
            )
        counts = "num_peers", "num_graphs", "attack_graphs", "expectation"
        for name in counts:
            value = getattr(self, name)
            if value is not None:
                checks.check_number(name, value, smallest=1, is_count=True)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ChosenGraphs:
    """The graphs of an evaluation.

    Attributes:
        defended: the `PeerBank` that predictions use.
        attacker: the `PeerBank` that the attack follows the gradient through.
        record: the `records.ThreatModel` that says how they were chosen.
    """

    defended: peers.PeerBank
    attacker: peers.PeerBank
    record: records.ThreatModel

    def known(self) -> ChosenGraphs:
        """Returns these graphs for an attacker who has those of predictions."""
        return dataclasses.replace(
            self,
            attacker=self.defended,
            record=dataclasses.replace(
                self.record, attacker=self.record.defended
            ),
        )


def describe_graphs(
    model: keras.Model, config: GraphsConfig, *, seed: int
) -> records.ThreatModel | None:
    """Returns which graphs an evaluation uses, without encoding them.

    Args:
        model: a built Keras model.
        config: the `GraphsConfig`.
        seed: int, the seed of what is drawn.

    Returns:
        A `records.ThreatModel`, or None for a model without peers.

    Raises:
        UserError: if the model stores no peers and N is None, it averages over
            a bank that it does not store, or the attacker would need more
            graphs than it knows.
    """
    if not peers.peer_layers(model):
        return None
    if isinstance(model, peers.MonteCarlo) and model.bank is not None:
        raise UserError(
            "a model of monte_carlo(model, bank) cannot be evaluated, because "
            "evaluations choose graphs themselves: store the bank with "
            "set_peers(model, bank) and give `model`"
        )
    stored = peers.stored_peers(model)
    if stored is None and config.num_peers is None:
        raise UserError(
            f"{model.name} must store graphs of peers, but stores none: call "
            "peernets_tf.set_peers(model, images), or draw some with "
            "`num_peers` and `num_graphs` (in Python, arguments of "
            "evaluation.GraphsConfig)"
        )
    num_peers = config.num_peers or (stored.num_peers if stored else 0)
    num_graphs = config.num_graphs or (stored.num_graphs if stored else 1)
    is_drawn, is_fresh = config.policy == "drawn", config.policy == "fresh"
    attack_graphs = config.attack_graphs
    if attack_graphs is None:
        attack_graphs = num_graphs
        if is_drawn:
            attack_graphs = max(_NUM_DRAWN, 2 * (config.expectation or 0))
    if attack_graphs > num_graphs and not is_drawn:
        raise UserError(
            f"`attack_graphs` must be at most {num_graphs}, the graphs that "
            f"the attacker knows. Received: {attack_graphs}. Choose the "
            "policy drawn (--peers=drawn) for an attacker that draws its own"
        )
    if config.expectation is not None and config.expectation > attack_graphs:
        advice = "raise attack_graphs (--attack_graphs), or leave it out"
        if not is_drawn and attack_graphs == num_graphs:
            advice = (
                "choose the policy drawn (--peers=drawn) for an attacker that "
                "draws more"
            )
        raise UserError(
            "`expectation` (--graph_expectation) must be at most the number of "
            f"graphs that the attacker has, {attack_graphs}. Received: "
            f"{config.expectation}; {advice}"
        )
    is_stored = config.num_peers is None and config.num_graphs is None
    own = None if is_stored else (int(Stream.MODEL_PEERS), seed)
    return records.ThreatModel(
        policy=config.policy,
        defended=records.Graphs(
            num_peers=num_peers,
            num_graphs=num_graphs,
            seed=(int(Stream.FRESH_PEERS), seed) if is_fresh else own,
        ),
        attacker=records.Graphs(
            num_peers=num_peers,
            num_graphs=attack_graphs,
            seed=(int(Stream.ATTACKER_PEERS), seed) if is_drawn else own,
        ),
        expectation=config.expectation,
    )


def choose_graphs(
    model: keras.Model,
    images: NDArray[Any],
    config: GraphsConfig,
    *,
    seed: int,
    labels: NDArray[Any] | None = None,
) -> ChosenGraphs | None:
    """Draws and encodes the graphs of an evaluation; the model stays as it is.

    Args:
        model: a built Keras model.
        images: float array of shape `(N', H, W, C)`, the training images.
        config: the `GraphsConfig`.
        seed: int, the seed of what is drawn.
        labels: int array of shape `(N',)`, the classes of `images`, which the
            banks of drawn graphs keep; None if nothing needs them.

    Returns:
        The `ChosenGraphs`, or None for a model without peers.

    Raises:
        UserError: see `describe_graphs`, or if N is larger than N'.
    """
    record = describe_graphs(model, config, seed=seed)
    if record is None:
        return None
    defended = _bank(model, images, labels, record.defended)
    if record.attacker.seed == record.defended.seed:
        # The first graphs of one draw do not depend on how many are drawn.
        attacker = defended.first(record.attacker.num_graphs)
    else:
        attacker = _bank(model, images, labels, record.attacker)
    return ChosenGraphs(defended=defended, attacker=attacker, record=record)


def padded_size(
    model: keras.Model | LogitsFunction, batch_size: int
) -> int | None:
    """Returns the `batch_size` of a model's `attacks.Classifier`.

    None for a model without peers, to which a batch of another size costs
    nothing.
    """
    has_peers = isinstance(model, keras.Model) and peers.peer_layers(model)
    return batch_size if has_peers else None


def attackers_view(
    model: keras.Model,
    graphs: ChosenGraphs | None,
    num_redrawn: int | None = None,
) -> keras.Model:
    """Returns a model with the graphs that an attacker averages over.

    Args:
        model: a built Keras model.
        graphs: the `ChosenGraphs`, None for a model without peers.
        num_redrawn: int or None, how many of the attacker's graphs each step
            draws; None for what the threat model says.
    """
    if graphs is None:
        return peers.monte_carlo(model)
    num_redrawn = num_redrawn or graphs.record.expectation
    if num_redrawn:
        return adaptive.random_graphs(model, graphs.attacker, num_redrawn)
    return peers.monte_carlo(model, graphs.attacker)


def _bank(
    model: keras.Model,
    images: NDArray[Any],
    labels: NDArray[Any] | None,
    graphs: records.Graphs,
) -> peers.PeerBank:
    """Returns the peers of a model that a record describes."""
    seed = graphs.seed
    if seed is not None:

        def draw(values: NDArray[Any]) -> NDArray[Any]:
            return peers.draw_peers(
                values, graphs.num_peers, graphs.num_graphs, seed=seed
            )

        drawn = None
        if labels is not None:
            # The same places are drawn as for the images.
            drawn = draw(labels.reshape(-1, 1, 1, 1))[..., 0, 0, 0]
        return peers.encode_peers(model, draw(images), drawn)
    stored = peers.stored_peers(model)
    assert stored is not None
    for layer in peers.peer_layers(model):
        layer.warn_if_peers_are_old()
    return stored.first(graphs.num_graphs)
