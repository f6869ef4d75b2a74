"""The flags that change what PeerRegularization layers compute."""

from absl import flags

from peernets_tf import adaptive
from peernets_tf.errors import UserError

# The command that makes a `LayerFlags` owns them, and its --help shows them.
flags.disclaim_key_flags()


class LayerFlags:
    """The flags of the layers' backward pass and of their ablations."""

    def __init__(self) -> None:
        self._backward = flags.DEFINE_enum(
            "backward",
            None,
            adaptive.BACKWARDS,
            "Backward pass of PeerRegularization layers that the attack "
            "follows. exact: the layer's own gradient. identity: the gradient "
            "of a layer that returns its input (BPDA), also for MagNet's "
            "reformer, and for a bounded ReLU that of a ReLU. soft: the "
            "gradient of a softmax attention over all peer pixels (default: "
            "exact, and for a gradient attack on one of these models also "
            "identity).",
        )
        self._temperature = flags.DEFINE_float(
            "temperature",
            adaptive.TEMPERATURE,
            "Softmax temperature of --backward=soft (default: "
            f"{adaptive.TEMPERATURE}).",
            1e-6,
        )
        self._ablation = flags.DEFINE_enum(
            "ablation",
            None,
            adaptive.ABLATIONS,
            "What PeerRegularization layers compute instead, for predictions "
            "and for the attack. random_neighbors: random peer pixels. "
            "uniform_attention: equal weights. first_layer_only, "
            "second_layer_only, no_layers: the other layers return their "
            "inputs. attention_gat, attention_softplus, attention_literal: the "
            "order of operations in the attention. It needs --num_peers or "
            "--num_graphs (default: none).",
        )
        self._num_neighbors = flags.DEFINE_integer(
            "num_neighbors",
            None,
            "K, the neighbours of a pixel, as an ablation (default: as the "
            "network was trained).",
            1,
        )

    @property
    def backward(self) -> str | None:
        """The backward pass; None for all that a model should be judged by."""
        return self._backward.value

    @property
    def temperature(self) -> float:
        """The softmax temperature of the soft backward pass."""
        return self._temperature.value

    def ablation(self, seed: int) -> adaptive.Ablation:
        """Returns the ablation that the flags describe.

        Args:
            seed: int, the seed of random neighbours.
        """
        return adaptive.Ablation(
            name=self._ablation.value,
            num_neighbors=self._num_neighbors.value,
            seed=seed,
        )

    def check_suite(self) -> None:
        """Checks that no flag is given that a suite does not read.

        Raises:
            UserError: if one is.
        """
        for flag in (self._temperature, self._ablation, self._num_neighbors):
            if flag.value != flag.default:
                raise UserError(f"--{flag.name} is for --attack: leave it out")
