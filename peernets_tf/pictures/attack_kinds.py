"""What pictures and sentences call the attacks of records."""

import re
from collections.abc import Iterable, Sequence

from peernets_tf.pictures import labels
from peernets_tf.records import (
    AttackCase,
    AttackRecord,
    graphs_text,
    radius_text,
)

# By `attack_kind`, which are the keys of `style.LINE_STYLES`.
KIND_NAMES = {
    "exact": "exact gradient",
    "identity": "BPDA (identity)",
    "soft": "BPDA (soft)",
    "black box": "black box",
    "noise": "random noise",
}
ATTACK_NAMES = {
    "apgd": "APGD",
    "deepfool": "DeepFool",
    "fab": "FAB",
    "fgsm": "FGSM",
    "finite_difference": "finite differences",
    "gradient_descent": "gradient descent",
    "neighbor_guided": "neighbour-guided",
    "nes": "NES",
    "noise": "random noise",
    "pgd": "PGD",
    "spsa": "SPSA",
    "square": "Square Attack",
    "universal.deepfool": "universal DeepFool",
    "universal.sequential": "universal DeepFool, one image at a time",
    "universal.file": "perturbation from a file",
    "universal.gradient": "universal gradient",
}
_POLICIES = {
    "known": "known to the attacker",
    "drawn": "the attacker draws its own",
    "fresh": "drawn after the attack",
}
# A case and the record that holds it.
Attacked = tuple[AttackRecord, AttackCase]

_BUDGET = re.compile(r"\b(steps|queries)=(\d+)")


def on_single_images(
    records: Sequence[AttackRecord],
) -> dict[str, list[Attacked]]:
    """Returns the cases of attacks that perturb each image, by data set."""
    found: dict[str, list[Attacked]] = {}
    for record in records:
        cases = found.setdefault(record.dataset, [])
        if not record.is_universal:
            cases += [(record, case) for case in record.cases]
    return found


def of_fixed_strength(attacked: Sequence[Attacked]) -> list[Attacked]:
    """Returns the cases with a radius, each attack of one on the most images.

    Of equally many images, that which leaves the lowest accuracy is returned.
    Sweeps of the number of steps are left out: they are for the picture of the
    loss against the steps.
    """
    kept: dict[tuple[object, ...], Attacked] = {}
    for record, case in attacked:
        if not case.epsilon or is_sweep_of_steps(record):
            continue
        key = (
            *line_of(record),
            record.attack,
            case.attack,
            record.threat_model,
            record.rejected_as,
        )
        if key not in kept or _weight(kept[key][1]) < _weight(case):
            kept[key] = record, case
    return list(kept.values())


def _weight(case: AttackCase) -> tuple[int, int]:
    return case.total, -case.adversarial_correct


def line_of(record: AttackRecord) -> tuple[str, str, str]:
    """Returns what all points of a line share: network, weights, kind."""
    return record.model, record.weights_sha256, attack_kind(record)


def attack_kind(record: AttackRecord) -> str:
    """Returns how an attack gets its direction, a key of `KIND_NAMES`.

    That is the backward pass for an attack that follows a gradient, `"noise"`
    for random noise, and otherwise `"black box"`.
    """
    if record.follows_gradient:
        return record.backward
    return "noise" if record.attack == "noise" else "black box"


def attack_name(record: AttackRecord) -> str:
    """Returns what people call an attack."""
    return ATTACK_NAMES.get(record.attack, labels.short(record.attack))


def with_budget(record: AttackRecord, case: AttackCase) -> str:
    """Returns an attack and its budget, if it has any: `PGD, 40 steps`.

    A targeted attack is called so.
    """
    name, found = attack_name(record), _BUDGET.search(case.attack)
    if "targeted=True" in case.attack:
        name += ", targeted"
    return f"{name}, {int(found[2]):,} {found[1]}" if found else name


def num_steps(case: AttackCase) -> int | None:
    """Returns the steps that stand in an attack's settings, or None."""
    found = _BUDGET.search(case.attack)
    return int(found[2]) if found and found[1] == "steps" else None


def is_sweep_of_steps(record: AttackRecord) -> bool:
    """Whether a record tries several numbers of steps at one strength."""
    return len({num_steps(case) for case in record.cases}) > 1


def strength(case: AttackCase) -> str:
    """Returns the ball of a case as a phrase; empty if none was given."""
    if case.rho is not None:
        return f"at rho = {case.rho:g}{reading(case)}"
    if case.epsilon is None:
        return ""
    norm = "L-infinity" if case.norm == "linf" else "L2"
    return f"in an {norm} ball of {radius_text(case.epsilon, case.norm)}"


def reading(case: AttackCase) -> str:
    """Returns how a case reads rho; empty for images in [0, 1], clipped."""
    parts = [] if case.rho_of == "unit" else [case.rho_of]
    if not case.clip:
        parts.append("unclipped")
    return "".join(f", {part}" for part in parts)


def line_labels(records: Sequence[AttackRecord]) -> dict[str, str]:
    """Returns what the names of lines end in, by the hashes of weights.

    That is nothing, or the checkpoint if networks of one name differ in their
    weights.
    """
    weights: dict[str, set[str]] = {}
    for record in records:
        weights.setdefault(record.model, set()).add(record.weights_sha256)
    return {
        record.weights_sha256: ""
        if len(weights[record.model]) == 1
        else f", {labels.short(record.checkpoint)}"
        for record in records
    }


def networks(records: Sequence[AttackRecord]) -> dict[str, str]:
    """Returns the paper's names of the networks by the names of the models.

    Those without peers come first.
    """
    ordered = sorted(records, key=lambda r: r.threat_model is not None)
    return {record.model: labels.network(record.model) for record in ordered}


def setting(attacked: Sequence[Attacked]) -> str:
    """Returns a phrase with the networks, the images and the data sets."""
    records = [record for record, _ in attacked]
    images = labels.images([case.total for _, case in attacked])
    data = labels.listed(labels.dataset(record.dataset) for record in records)
    return f"{labels.listed(networks(records).values())} on {images} of {data}"


def graphs(records: Iterable[AttackRecord]) -> str:
    """Returns a sentence on what attackers knew of the graphs, after a space.

    It is empty if no record is of a PeerNet.
    """
    used = sorted(
        {
            graphs_text(model.defended.num_graphs, model.defended.num_peers)
            + f" ({labels.short(_POLICIES.get(model.policy, model.policy))})"
            for model in (record.threat_model for record in records)
            if model is not None
        }
    )
    return f" PeerNets use {' or '.join(used)}." if used else ""
