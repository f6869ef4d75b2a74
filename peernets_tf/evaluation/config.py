"""What an evaluation is asked to do, and whether a model can do it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from peernets_tf import adaptive, attacks, datasets, records
from peernets_tf.errors import UserError, naming
from peernets_tf.evaluation.plan import AttackConfig
from peernets_tf.evaluation.target_config import TargetConfig
from peernets_tf.evaluation.threat_model import GraphsConfig, describe_graphs
from peernets_tf.lazy import keras, module

if TYPE_CHECKING:
    from peernets_tf import peers
else:
    peers = module("peernets_tf.peers")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig(TargetConfig):
    """How a model is attacked by one attack.

    For a model without PeerRegularization layers `graphs`, `temperature` and
    `ablation` must be the defaults, and `backward`, too, unless the model
    `adaptive.hides_gradient`. With `transfer_from`, `backward` is that of the
    other model, which attacks through its stored graphs. It also has the fields
    of `TargetConfig`.

    Attributes:
        attack: the `AttackConfig`.
        temperature: float, the temperature of the backward pass `"soft"`.
        ablation: the `adaptive.Ablation` of the layers, for predictions and for
            the attack.

    Raises:
        UserError: if the attack does not read one of these, or a value is out
            of range.
    """

    attack: AttackConfig
    temperature: float = adaptive.TEMPERATURE
    ablation: adaptive.Ablation = adaptive.Ablation()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.temperature != adaptive.TEMPERATURE and self.backward != "soft":
            raise UserError(
                f"`temperature` is for backward=soft. Received: "
                f"backward={self.backward}, temperature={self.temperature}"
            )
        if self.transfer_from is not None:
            _check_transfer(self.attack, self.graphs)
        if self.attack.attack_type.follows_gradient:
            return
        for name, is_given in (
            ("backward", self.backward != "exact"),
            ("policy drawn (--peers=drawn)", self.graphs.policy == "drawn"),
            ("attack_graphs", self.graphs.attack_graphs is not None),
            (
                "expectation (--graph_expectation)",
                self.graphs.expectation is not None,
            ),
        ):
            if is_given:
                raise UserError(
                    f"{self.attack.name} follows no gradient and does not "
                    f"read {name}: leave it out, or choose another attack"
                )


def _check_transfer(attack: AttackConfig, graphs: GraphsConfig) -> None:
    """Raises a `UserError` if an attack cannot be made on another model."""
    sees_no_model = attack.is_file or attack.name == attacks.RandomNoise.name
    if sees_no_model or needs_labels(attack):
        reason = (
            "makes the same images on every model"
            if sees_no_model
            else "needs the peers of the model itself"
        )
        raise UserError(
            f"{attack.name} {reason}: leave out transfer_from, or choose "
            "another attack"
        )
    always_stops = attack.attack_type.always_stops
    if _stops(attack) or always_stops:
        advice = "give --nostop_when_fooled"
        if always_stops:
            advice = "choose pgd"
        elif attack.search:
            advice = "leave out --search"
        raise UserError(
            f"{attack.name} stops at an image that fools the other model, "
            f"which may not fool this one: {advice}"
        )
    guessed = graphs.attack_graphs, graphs.expectation
    if graphs.policy != "known" or guessed != (None, None):
        raise UserError(
            "with transfer_from, the attacker has no graphs of this model: "
            "leave out policy (--peers), attack_graphs and expectation "
            f"(--graph_expectation). Received: {graphs}"
        )


def _stops(attack: AttackConfig) -> bool:
    """Whether an attack is told to stop at images that fool."""
    default = getattr(attack.attack_type, "stop_when_fooled", False)
    return attack.search or attack.options.get("stop_when_fooled", default)


def backward_passes(
    model: keras.Model, attack: AttackConfig, chosen: str | None
) -> tuple[str, ...]:
    """Returns the backward passes by which a model should be judged.

    The exact gradient of a PeerNet is masked, and that of a bounded ReLU or a
    reformer may be, so its figures alone flatter the model: an attack that
    follows a gradient is run with identity (BPDA), too.

    Args:
        model: a Keras model.
        attack: the `AttackConfig`.
        chosen: the one backward pass to follow, or None for all that are
            needed.
    """
    if chosen is not None:
        return (chosen,)
    is_masked = peers.peer_layers(model) or adaptive.hides_gradient(model)
    if is_masked and attack.attack_type.follows_gradient:
        return ("exact", "identity")
    return ("exact",)


def needs_labels(attack: AttackConfig) -> bool:
    """Returns whether an attack needs the labels of the attacker's peers."""
    return issubclass(attack.attack_type, adaptive.NeighborGuided)


def needs_components(attack: AttackConfig) -> bool:
    """Returns whether an attack needs principal components of images."""
    return bool(attack.options.get("num_components"))


def check_rejection(
    model: keras.Model, dataset: datasets.Dataset, rejected_as: str | None
) -> None:
    """Refuses a model that may reject images unless `rejected_as` is given.

    Args:
        model: a Keras model.
        dataset: the `Dataset`.
        rejected_as: see `EvaluationConfig`.

    Raises:
        UserError: if the model has one more logit than there are classes, and
            `rejected_as` is None.
    """
    model = peers.averaged_model(model)
    shape = getattr(model, "output_shape", None)
    if shape and shape[-1] == dataset.num_classes + 1 and rejected_as is None:
        raise UserError(
            f"{model.name} has one logit more than {dataset.name} has classes, "
            f"{dataset.num_classes}. If the last logit is that of rejection, "
            "say what a rejected image counts as, rejected_as=wrong or "
            f"rejected_as=right{_or_num_classes(dataset)}. Received: neither"
        )


def check_fits(
    model: keras.Model,
    dataset: datasets.Dataset,
    rejected_as: str | None = None,
) -> None:
    """Checks that a model takes the images and has the classes of a data set.

    Args:
        model: a Keras model.
        dataset: the `Dataset`.
        rejected_as: see `EvaluationConfig`. If it is given, the model must have
            one more logit than there are classes.

    Raises:
        UserError: if a shape differs, the model has no input shape, or see
            `check_range`.
        AttackError: if the model does not return logits, or ends in a sigmoid
            or tanh.
    """
    model = peers.averaged_model(model)
    if getattr(model, "input_shape", None) is None:
        raise UserError(
            f"{model.name} must have an input shape, but has none: give a "
            "functional or a sequential model"
        )
    shape = dataset.test.images.shape[1:]
    taken = tuple(model.input_shape[1:])
    if not peers.checks.takes_shape(taken, shape):
        raise UserError(
            f"the model must take images of shape {shape} for {dataset.name}. "
            f"Received: {model.name} for images of shape {taken}; give another "
            "model or data set"
        )
    check_range(model)
    attacks.checks.check_outputs(model.output_shape)
    # Suites attack the logarithm of a softmax, other attacks refuse it.
    attacks.checks.check_ends_in_logits(model, allow_softmax=True)
    num_logits = model.output_shape[-1]
    needed = dataset.num_classes + (rejected_as is not None)
    if num_logits != needed:
        rejection = "" if rejected_as is None else ", and one of rejection"
        advice = "give another model or data set"
        if num_logits > needed:
            advice += _or_num_classes(dataset)
        if rejected_as is not None and num_logits == dataset.num_classes:
            advice = "leave out rejected_as"
        raise UserError(
            f"the model must have {needed} logits, one for each class of "
            f"{dataset.name}{rejection}. Received: {model.name} with "
            f"{num_logits} logits; {advice}"
        )


def _or_num_classes(dataset: datasets.Dataset) -> str:
    """Returns the advice for a file that lacks images of the last classes."""
    if dataset.sha256 is None:
        return ""
    return "; if the file lacks its last classes, store `num_classes` in it"


def check_range(model: keras.Model) -> None:
    """Raises a `UserError` if a model takes images of numbers far above 1.

    See `peers.checks.check_images_fit`, which says how that is known.
    """
    model = peers.averaged_model(model)
    if peers.checks.takes_unit_range(model) is False:
        raise UserError(
            "the model must take images in [0, 1], which attacks change. "
            f"Received: {model.name}, whose first layer expects values far "
            "above 1, such as 0 to 255; if it was trained on them, put a "
            "keras.layers.Rescaling(255) in front of it, if not, remove that "
            "layer"
        )


def check_transfer_model(
    transfer_model: keras.Model | None,
    dataset: datasets.Dataset,
    config: TargetConfig,
) -> None:
    """Checks the model on which images are made for another one.

    Args:
        transfer_model: a Keras model, or None.
        dataset: the `Dataset`.
        config: the `TargetConfig`.

    Raises:
        UserError: if the configuration names a model and none is given, or the
            other way round, or see `check_fits`.
        AttackError: if its outputs are probabilities, or see `check_fits`.
    """
    if (transfer_model is None) != (config.transfer_from is None):
        raise UserError(
            "`transfer_model` must be the model that transfer_from names. "
            f"Received: transfer_model={transfer_model}, "
            f"transfer_from={config.transfer_from}"
        )
    if transfer_model is not None:
        with naming("transfer_from"):
            check_fits(transfer_model, dataset)
            images = dataset.test.images[:8]
            logits = peers.monte_carlo(transfer_model)(images)
            attacks.checks.check_logits(logits)


def check_graphs(
    model: keras.Model, config: GraphsConfig, backward: str, *, seed: int
) -> records.ThreatModel | None:
    """Returns which graphs an evaluation uses, None for a model without peers.

    Raises:
        UserError: if the model has no peers and the arguments name some, or see
            `describe_graphs`.
    """
    graphs = describe_graphs(model, config, seed=seed)
    backwards = ["exact"]
    if graphs is None and adaptive.hides_gradient(model):
        backwards.append("identity")
    if graphs is None and (
        config != GraphsConfig() or backward not in backwards
    ):
        raise UserError(
            f"{model.name} has no PeerRegularization layer: leave out "
            "backward, policy (--peers), num_peers, num_graphs, attack_graphs "
            "and expectation (--graph_expectation). Received: "
            f"backward={backward}, {config}"
        )
    return graphs


def check_peers(
    model: keras.Model,
    config: EvaluationConfig,
    transfer_model: keras.Model | None = None,
) -> None:
    """Checks what a configuration says of peers.

    Args:
        model: the model that is attacked.
        config: the `EvaluationConfig`.
        transfer_model: the model on which images are made, None if it is
            `model` itself.

    Raises:
        UserError: if the model has no peers and the configuration names some,
            or the attack stops at images that fool other graphs than those
            that count.
    """
    backward = config.backward
    if transfer_model is not None:
        check_graphs(transfer_model, GraphsConfig(), backward, seed=config.seed)
        backward = "exact"
    graphs = check_graphs(model, config.graphs, backward, seed=config.seed)
    if graphs is None:
        if needs_labels(config.attack) or config.ablation:
            needed = "an ablation" if config.ablation else config.attack.name
            raise UserError(
                f"{model.name} has no PeerRegularization layer, which {needed} "
                "needs: leave it out, or give another model"
            )
        return
    stores = None in (graphs.defended.seed, graphs.attacker.seed)
    if config.ablation and stores:
        raise UserError(
            "an ablation changes the features of peers, which stored graphs "
            "have from the whole network: draw graphs with num_peers or "
            f"num_graphs. Received: {config.ablation}"
        )
    attack = config.attack
    if needs_labels(attack) and graphs.attacker.seed is None:
        raise UserError(
            f"{attack.name} needs the labels of the attacker's peers, which "
            "stored graphs do not have: draw graphs with num_peers or "
            "num_graphs, or choose the policy drawn (--peers=drawn). Received: "
            f"{graphs}"
        )
    if not attack.attack_type.follows_gradient:
        # It queries, if at all, the model whose predictions count.
        return
    # FAB, which always stops, may stop at images that fool the mean over graphs
    # drawn anew: they are the nearest ones that it looks for.
    averages = graphs.expectation and attack.name == attacks.FAB.name
    stops = _stops(attack) or (attack.attack_type.always_stops and not averages)
    if stops and (graphs.defended != graphs.attacker or graphs.expectation):
        raise UserError(
            f"{attack.name} stops at an image that fools the attacker's "
            "graphs, so these must be the graphs of the predictions. Give "
            "--peers=known without --attack_graphs and --graph_expectation, or "
            "an attack that goes on: pgd or apgd with --nostop_when_fooled and "
            "without --search, or fab with --graph_expectation. Received: "
            f"peers={graphs.policy}, {graphs.defended.num_graphs} graphs for "
            f"predictions, {graphs.attacker.num_graphs} for the attacker"
        )
