"""The flags that name the graphs of peers, and what the attacker knows."""

from absl import flags

from peernets_tf import evaluation

# The command that makes a `GraphFlags` owns them, and its --help shows them.
flags.disclaim_key_flags()


class GraphFlags:
    """The flags of the graphs that predictions and attacks use."""

    def __init__(self) -> None:
        self._peers = flags.DEFINE_enum(
            "peers",
            "known",
            evaluation.POLICIES,
            "What the attacker knows about the graphs, the sets of peers. "
            "known: the graphs that predictions use. drawn: only that graphs "
            "are drawn from the training images; the attack averages logits "
            "over graphs that it draws. fresh: the graphs stored in the "
            "model, but predictions use newly drawn ones (default: known).",
        )
        self._num_peers = flags.DEFINE_integer(
            "num_peers",
            None,
            "N, the number of peers in each graph. If this or --num_graphs is "
            "given, new graphs are drawn from the training images (default: "
            "as many as the checkpoint stores).",
            1,
        )
        self._num_graphs = flags.DEFINE_integer(
            "num_graphs",
            None,
            "M, the number of graphs whose logits predictions average "
            "(default: as many as the checkpoint stores).",
            1,
        )
        self._attack_graphs = flags.DEFINE_integer(
            "attack_graphs",
            None,
            "Number of graphs whose logits the attack averages (default: 10 "
            "for --peers=drawn, otherwise M; see --graph_expectation).",
            1,
        )
        self._expectation = flags.DEFINE_integer(
            "graph_expectation",
            None,
            "Number of graphs that the attack draws anew in each step from "
            "its own, to average the gradient over them (expectation over "
            "transformation). With --peers=drawn, --attack_graphs is then "
            "twice as many by default, if that is more than 10 (default: the "
            "attack averages over all of its graphs).",
            1,
        )

    def graphs(self) -> evaluation.GraphsConfig:
        """Returns the graphs that the flags describe."""
        return evaluation.GraphsConfig(
            policy=self._peers.value,
            num_peers=self._num_peers.value,
            num_graphs=self._num_graphs.value,
            attack_graphs=self._attack_graphs.value,
            expectation=self._expectation.value,
        )
