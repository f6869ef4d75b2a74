"""Attacks a model and counts: `python -m peernets_tf.evaluate`.

    python -m peernets_tf.evaluate --checkpoint=cifar10_pr_resnet32 --attack=pgd

An evaluation that was stopped goes on from its last whole batch when the same
command is given again.
"""

import dataclasses
import fractions
import os
import sys
import time
from typing import Any

import keras
import numpy as np
from absl import flags

from peernets_tf import (
    attacks,
    command,
    data,
    evaluation,
    models,
    peers,
    perturbations,
    pretrained,
    results,
    tables,
    threat_model,
)
from peernets_tf.attacks import catalogue, guards, universal

# A universal perturbation is made in several ways: --maker.
_UNIVERSAL = "universal."
_ATTACKS = (
    "universal",
    *(name for name in catalogue.NAMES if not name.startswith(_UNIVERSAL)),
)
_MAKER_NAMES = [
    name.removeprefix(_UNIVERSAL)
    for name in catalogue.NAMES
    if name.startswith(_UNIVERSAL)
]
_MAKERS = (attacks.UniversalDeepFool, attacks.UniversalGradient)

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "A .keras file, or the name of a trained model in checkpoints/.",
    required=True,
)
_ATTACK = flags.DEFINE_enum(
    "attack", None, _ATTACKS, "The attack.", required=True
)
_DATASET = flags.DEFINE_string(
    "dataset",
    None,
    f"One of {', '.join(data.DATASET_NAMES)}, or the path of an .npz file. "
    "Default: what the checkpoint's record names.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "TensorFlow Datasets directory. Default: TFDS's own."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Where the record goes, and what was done so far. Default: a folder in "
    "runs/attacks, named by checkpoint, attack, backward and graphs.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of everything drawn.", 0)
_TEST_SIZE = flags.DEFINE_integer(
    "test_size", None, "The first test images only. Default: all.", 1
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 100, "Test images attacked at once.", 1
)

# The strength and the kind of attack.
_EPSILON = flags.DEFINE_list(
    "epsilon",
    None,
    "Radii of the ball, for images in [0, 1]; fractions as in 8/255 too. "
    "Default: 8/255 in L-infinity, 0.5 in L2.",
)
_RHO = flags.DEFINE_list(
    "rho",
    None,
    "L2 radii as multiples of the mean L2 norm of the training images.",
)
_SEARCH = flags.DEFINE_bool(
    "search",
    False,
    "Search each image's smallest epsilon that fools, as in Table 2, up to "
    "--epsilon (default: all of [0, 1]).",
)
_NORM = flags.DEFINE_enum(
    "norm",
    None,
    ["linf", "l2"],
    "Norm of the ball. Default: linf; l2 for gradient_descent and universal.",
)
_LOSS = flags.DEFINE_enum(
    "loss",
    None,
    attacks.LOSSES,
    "What the attack makes large. Default: cross_entropy.",
)
# One flag for each argument of an attack; None is the attack's own default.
_OPTIONS = {
    "norm": _NORM,
    "steps": flags.DEFINE_integer("steps", None, "Steps. Default: 40.", 1),
    "step_size": flags.DEFINE_float(
        "step_size",
        None,
        "Length of a step. Default: 2.5 epsilon / steps.",
        0.0,
    ),
    "loss": _LOSS,
    "random_start": flags.DEFINE_bool(
        "random_start",
        None,
        "Start PGD at a random point of the ball. Default: true.",
    ),
    "restarts": flags.DEFINE_integer(
        "restarts", None, "Starts of PGD. Default: 1.", 1
    ),
    "targeted": flags.DEFINE_bool(
        "targeted", None, "Lead each image to another class, drawn at random."
    ),
    "keep_best": flags.DEFINE_bool(
        "keep_best",
        None,
        "Keep PGD's best iterate, not its last. Default: true.",
    ),
    "stop_when_fooled": flags.DEFINE_bool(
        "stop_when_fooled",
        None,
        "Take no more steps of PGD for images that are fooled: as many are "
        "fooled, sooner.",
    ),
    "passes": flags.DEFINE_integer(
        "passes",
        None,
        "Passes over the training images, at most. Default: 10.",
        1,
    ),
    "batch_size": flags.DEFINE_integer(
        "maker_batch_size",
        None,
        "Training images at once; 1 is the published, sequential algorithm. "
        "Default: 32.",
        1,
    ),
    "fooling_rate": flags.DEFINE_float(
        "fooling_rate",
        None,
        "Fooling rate on the training images to stop at after a pass. Default: "
        "0.8 for deepfool, as its authors do; gradient makes all passes.",
        0.0,
        1.0,
    ),
}

_BACKWARD = flags.DEFINE_enum(
    "backward",
    "exact",
    attacks.BACKWARDS,
    "The gradient of PeerRegularization layers that the attack follows: their "
    "own, the identity, or that of a softmax attention over all peers.",
)
_TEMPERATURE = flags.DEFINE_float(
    "temperature", 0.05, "Of the soft backward's attention.", 1e-6
)

# The peers of the judged model and the attacker's.
_PEERS = flags.DEFINE_enum(
    "peers",
    "known",
    threat_model.POLICIES,
    "known: the attacker knows the graphs that predictions count with. drawn: "
    "the attacker knows only that graphs are drawn, and averages logits over "
    "graphs of its own. fresh: the attacker knows the model's graphs, but "
    "predictions count with newly drawn ones.",
)
_NUM_PEERS = flags.DEFINE_integer(
    "num_peers", None, "N, peers in a graph. Default: the checkpoint's.", 1
)
_NUM_GRAPHS = flags.DEFINE_integer(
    "num_graphs", None, "M, graphs averaged. Default: the checkpoint's.", 1
)
_ATTACK_GRAPHS = flags.DEFINE_integer(
    "attack_graphs",
    None,
    "Graphs whose logits the attack averages. Default: M; 10 for drawn.",
    1,
)

# Universal perturbations.
_MAKER = flags.DEFINE_enum(
    "maker",
    "deepfool",
    _MAKER_NAMES,
    "deepfool: Moosavi-Dezfooli et al.'s algorithm, as in the paper. gradient: "
    "projected gradient ascent on the mean loss.",
)
_TRAIN_SIZE = flags.DEFINE_integer(
    "train_size", 10000, "Training images that a perturbation is made from.", 1
)
_PERTURBATION = flags.DEFINE_string(
    "perturbation", None, "An .npy file to apply instead of making one."
)


_GRAPH_FLAGS = (
    _BACKWARD,
    _TEMPERATURE,
    _PEERS,
    _NUM_PEERS,
    _NUM_GRAPHS,
    _ATTACK_GRAPHS,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Strength:
    """The ball of one case; epsilon is None if the smallest is sought."""

    norm: str
    epsilon: float | None = None
    rho: float | None = None

    @property
    def name(self) -> str:
        if self.rho is not None:
            return f"rho_{self.rho:g}"
        if self.epsilon is None:
            return f"{self.norm}_smallest"
        return f"{self.norm}_{self.epsilon:g}"


def evaluate(argv: list[str]) -> None:
    """Attacks the test images, writes the record, prints its table."""
    if argv[1:]:
        raise ValueError(f"not a flag: {' '.join(argv[1:])}")
    _check_flags()
    start = time.monotonic()
    environment = results.environment()
    path = pretrained.path_of(_CHECKPOINT.value)
    # Two copies of the model, because each holds its own graphs.
    judge, attacked = models.load(path), models.load(path)
    weights_sha256 = results.weights_sha256(judge)
    dataset_name = _DATASET.value or _dataset_of(path)
    dataset = data.load(dataset_name, _DATA_DIR.value)
    evaluation.check_fits(judge, dataset)
    _check_graph_flags(judge)
    plans = [
        (strength, _make_attack(strength, dataset))
        for strength in _strengths(dataset)
    ]
    peers_record = threat_model.set_graphs(
        judge,
        attacked,
        dataset.train.images,
        policy=_PEERS.value,
        num_peers=_NUM_PEERS.value,
        num_graphs=_NUM_GRAPHS.value,
        attack_graphs=_ATTACK_GRAPHS.value,
        seed=_SEED.value,
    )
    _check_stopping(peers_record)
    hashes = [results.weights_sha256(model) for model in (judge, attacked)]
    target = evaluation.Target(
        judge=peers.monte_carlo(judge),
        attacked=attacks.surrogate(
            peers.monte_carlo(attacked), _BACKWARD.value, _TEMPERATURE.value
        ),
        test=dataset.test.first(_TEST_SIZE.value),
        num_classes=dataset.num_classes,
        batch_size=_BATCH_SIZE.value,
        seed=_SEED.value,
        targeted=bool(_OPTIONS["targeted"].value),
    )
    output_dir = _make_output_dir()
    own_flags = command.own_flags()
    places = ("data_dir", "output_dir", "checkpoint", "perturbation")
    identity = {
        **{key: own_flags[key] for key in own_flags if key not in places},
        "dataset": dataset.name,
        "dataset_sha256": data.fingerprint(dataset_name),
        "weights_sha256": hashes,
        # With the defaults of this version, and the hash of a file.
        "attacks": [repr(attack) for _, attack in plans],
    }
    log = evaluation.BatchLog(
        os.path.join(output_dir, "batches.jsonl"), identity, environment
    )
    print(
        f"Attacking {judge.name} on {dataset.name} with {_attack_name()} in "
        f"{output_dir}",
        flush=True,
    )
    clean = evaluation.clean_predictions(target, log, loss=_loss())
    _warn_of_masked_gradients(clean, len(target.test))
    cases = []
    for strength, attack in plans:
        if isinstance(attack, _MAKERS):
            attack = perturbations.make(
                attack,
                target.attacked,
                dataset.train.first(_TRAIN_SIZE.value).images,
                path=os.path.join(output_dir, f"perturbation_{strength.name}"),
                seed=_SEED.value,
                identity=f"{_BACKWARD.value}, {_TEMPERATURE.value}, "
                f"{dataset_name}, {hashes[1]}",
            )
        counts = evaluation.attack_images(
            target,
            attack,
            clean,
            log,
            name=f"{_ATTACK.value}_{strength.name}",
            epsilon=strength.epsilon,
            norm=strength.norm,
        )
        cases.append(
            {"attack": repr(attack), **dataclasses.asdict(strength), **counts}
        )
    if hashes != [results.weights_sha256(model) for model in (judge, attacked)]:
        raise guards.AttackError("the attack changed the model's weights")
    record = results.AttackResult(
        model=judge.name,
        checkpoint=_CHECKPOINT.value,
        weights_sha256=weights_sha256,
        dataset=dataset.name,
        test_size=len(target.test),
        attack=_attack_name(),
        backward=_BACKWARD.value,
        peers=peers_record,
        cases=cases,
        seed=_SEED.value,
        flags=own_flags,
        command=command.line("peernets_tf.evaluate"),
        seconds=round(time.monotonic() - start, 1),
        **log.environment,
    )
    record_path = os.path.join(output_dir, "record.json")
    results.write_json(record, record_path)
    print(tables.attack_table([record]))
    print(f"Record: {record_path}")


def _check_flags() -> None:
    """Refuses flags that the attack would not look at."""
    name = _attack_name()
    is_file = name == "universal.file"
    taken = {"norm"} if is_file else catalogue.options(name)
    if _SEARCH.value:
        # It needs the best iterate, stops, and sets step sizes itself.
        taken = taken - {"keep_best", "stop_when_fooled", "step_size"}
    unread = [
        flag.name
        for option, flag in _OPTIONS.items()
        if flag.present and option not in taken
    ]
    rules: list[tuple[tuple[flags.FlagHolder[Any], ...], bool]] = [
        ((_PERTURBATION,), _ATTACK.value == "universal"),
        (
            (_MAKER, _TRAIN_SIZE),
            name in ("universal.deepfool", "universal.gradient"),
        ),
        ((_EPSILON,), "epsilon" in taken),
        ((_RHO,), "epsilon" in taken and not _SEARCH.value),
        ((_SEARCH,), name in catalogue.SEARCHABLE),
        ((_TEMPERATURE,), _BACKWARD.value == "soft"),
        # Those that choose a gradient, where one is followed.
        ((_BACKWARD, _TEMPERATURE, _ATTACK_GRAPHS), _loss() is not None),
    ]
    for holders, is_read in rules:
        unread += [h.name for h in holders if h.present and not is_read]
    if unread:
        with_search = " with --search" if _SEARCH.value else ""
        raise ValueError(f"--{unread[0]} is not for {name}{with_search}")
    if _SEARCH.value and len(_EPSILON.value or []) > 1:
        raise ValueError("--search takes one --epsilon, the largest")


def _check_stopping(peers_record: dict[str, Any]) -> None:
    stops = _SEARCH.value or _OPTIONS["stop_when_fooled"].value
    if stops and peers_record.get("judged") != peers_record.get("attacked"):
        raise ValueError(
            "--search and --stop_when_fooled need the graphs that count in the "
            "attack: others would stop it before those are fooled"
        )


def _loss() -> str | None:
    """Returns the loss whose gradient the attack follows, if any."""
    name = _attack_name()
    if name in ("noise", "universal.file"):
        return None
    if name in ("deepfool", "universal.deepfool"):
        # They follow the differences of logits.
        return "margin"
    return _LOSS.value or "cross_entropy"


def _make_output_dir() -> str:
    output_dir = _OUTPUT_DIR.value or _default_output_dir()
    if os.path.exists(os.path.join(output_dir, "run.json")):
        raise ValueError(
            f"{output_dir} holds a training: choose another --output_dir"
        )
    os.makedirs(output_dir, exist_ok=True)
    return output_dir


def _dataset_of(path: str) -> str:
    """Returns the data set that the record beside a checkpoint names."""
    stem = os.path.splitext(path)[0]
    beside = os.path.join(os.path.dirname(path), "record.json")
    for record_path in (f"{stem}.json", beside):
        if os.path.exists(record_path):
            return results.read_json(record_path).dataset
    raise ValueError(
        f"no record beside {path} names its data set: give --dataset"
    )


def _check_graph_flags(model: keras.Model) -> None:
    if not peers.peer_layers(model):
        for flag in _GRAPH_FLAGS:
            if flag.present:
                raise ValueError(
                    f"--{flag.name} is for PeerNets; {model.name} has no "
                    "PeerRegularization layer"
                )


def _strengths(dataset: data.Dataset) -> list[_Strength]:
    """Returns the balls that the flags name."""
    is_l2 = _ATTACK.value in ("gradient_descent", "universal", "deepfool")
    norm = _NORM.value or ("l2" if is_l2 or _RHO.value else "linf")
    if _SEARCH.value or _ATTACK.value == "deepfool":
        return [_Strength(norm=norm)]
    if _PERTURBATION.value:
        perturbation = _read_perturbation(dataset).perturbation
        order = np.inf if norm == "linf" else 2
        length = np.linalg.norm(perturbation.reshape(-1), order)
        return [_Strength(norm=norm, epsilon=float(length))]
    if _RHO.value:
        if _EPSILON.value or norm != "l2":
            raise ValueError("--rho takes neither --epsilon nor --norm=linf")
        return [
            _Strength(
                norm="l2",
                rho=rho,
                epsilon=universal.strength(dataset.train.images, rho),
            )
            for rho in _numbers(_RHO.value)
        ]
    epsilons = _EPSILON.value or ["8/255" if norm == "linf" else "0.5"]
    return [
        _Strength(norm=norm, epsilon=epsilon) for epsilon in _numbers(epsilons)
    ]


def _make_attack(strength: _Strength, dataset: data.Dataset) -> Any:
    """Returns the attack, or the maker of a universal perturbation."""
    name = _attack_name()
    if name == "universal.file":
        return _read_perturbation(dataset)
    options = {
        option: flag.value
        for option, flag in _OPTIONS.items()
        if flag.value is not None
    }
    if "norm" in catalogue.options(name):
        options["norm"] = strength.norm
    if _SEARCH.value:
        largest = _numbers(_EPSILON.value)[0] if _EPSILON.value else None
        return catalogue.make_search(
            name,
            largest_epsilon=largest,
            image_shape=dataset.test.images.shape[1:],
            **options,
        )
    if strength.epsilon is not None:
        options["epsilon"] = strength.epsilon
    return catalogue.make(name, **options)


def _read_perturbation(dataset: data.Dataset) -> universal.FixedPerturbation:
    shape = dataset.test.images.shape[1:]
    return perturbations.read(str(_PERTURBATION.value), shape)


def _warn_of_masked_gradients(clean: list[dict[str, Any]], total: int) -> None:
    zero = sum(row["zero_gradients"] or 0 for row in clean)
    if zero:
        print(
            f"warning: at {zero} of {total} images the gradient that the "
            "attack follows is exactly zero or no number: gradients are "
            "masked, and the figures below say little of robustness",
            file=sys.stderr,
            flush=True,
        )


def _numbers(texts: list[str]) -> list[float]:
    try:
        numbers = [float(fractions.Fraction(text.strip())) for text in texts]
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"not numbers: {','.join(texts)}; write 0.03 or 8/255"
        ) from error
    if min(numbers) < 0:
        raise ValueError(f"must not be negative: {','.join(texts)}")
    return numbers


def _attack_name() -> str:
    if _ATTACK.value == "universal":
        made = "file" if _PERTURBATION.value else _MAKER.value
        return f"universal.{made}"
    return _ATTACK.value


def _default_output_dir() -> str:
    path = _CHECKPOINT.value.removesuffix(".keras")
    parts = [path.replace(os.sep, "_").strip("._"), _attack_name()]
    if _SEARCH.value:
        parts.append("search")
    parts.append(_BACKWARD.value)
    if _NUM_PEERS.value or _NUM_GRAPHS.value:
        parts.append(f"{_NUM_PEERS.value or 'N'}x{_NUM_GRAPHS.value or 'M'}")
    return os.path.join("runs", "attacks", "_".join(parts))


if __name__ == "__main__":
    command.run(evaluate)
