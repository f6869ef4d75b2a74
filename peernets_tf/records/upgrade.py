"""Reads records of schema version 1, which name neither kind nor version."""

from typing import Any

from peernets_tf.errors import UserError
from peernets_tf.records.schema import SCHEMA_VERSION

# The field by which a record of version 1 shows its kind.
_SIGNS = {
    "attack": "attack",
    "history": "training",
    "rows": "comparison",
    "load_average": "benchmark",
}
# The fields of `Provenance`, which version 1 keeps beside all others.
_PROVENANCE = (
    "command",
    "flags",
    "seed",
    "commit",
    "versions",
    "device",
    "seconds",
)
# Attacks of version 1 that follow no gradient.
_WITHOUT_GRADIENT = ("noise", "universal.file")


def from_version_1(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a version-1 record as fields of this version.

    Args:
        fields: dict, the JSON object of a training, an attack, a comparison or
            a benchmark. It is not changed.

    Raises:
        UserError: if it is none of these, or lacks a field.
    """
    kind = next((_SIGNS[name] for name in _SIGNS if name in fields), None)
    if kind is None:
        raise UserError(
            "expected the fields of a training, an attack, a comparison or a "
            f"benchmark. Received: {', '.join(fields) or 'no fields'}"
        )
    upgrade = {
        "training": _training,
        "attack": _attack,
        "comparison": _comparison,
        "benchmark": _benchmark,
    }[kind]
    try:
        upgraded = upgrade(fields)
    except KeyError as error:
        raise UserError(f"the field {error} is missing") from error
    except (AttributeError, IndexError, TypeError) as error:
        raise UserError(f"a field has the wrong type: {error}") from error
    return {"kind": kind, "schema_version": SCHEMA_VERSION, **upgraded}


def _training(fields: dict[str, Any]) -> dict[str, Any]:
    graphs = {
        "num_peers": fields["num_peers"],
        "num_graphs": fields["num_graphs"],
        "seed": fields["peers_seed"],
    }
    return {
        **_without(fields, *_PROVENANCE, *graphs, "peers_seed"),
        "graphs": graphs if fields["num_peers"] else None,
        "initial_model": fields.get("initial_model") or None,
        "provenance": _provenance(fields),
    }


def _attack(fields: dict[str, Any]) -> dict[str, Any]:
    name = fields["attack"]
    return {
        **_without(fields, *_PROVENANCE, "peers"),
        "is_universal": name.startswith("universal"),
        "follows_gradient": name not in _WITHOUT_GRADIENT,
        "threat_model": _threat_model(fields["peers"]),
        "provenance": _provenance(fields),
    }


def _comparison(fields: dict[str, Any]) -> dict[str, Any]:
    provenance = _provenance(fields)
    return {
        **_without(fields, *_PROVENANCE),
        "rows": [_comparison_row(row, provenance) for row in fields["rows"]],
        "provenance": provenance,
    }


def _comparison_row(
    row: dict[str, Any], provenance: dict[str, Any]
) -> dict[str, Any]:
    training = row["training"]
    if training is not None:
        training = {
            **_without(training, "environment", "seconds"),
            "provenance": _part(training, provenance),
        }
    cases = [
        {
            "backward": case["backward"],
            "case": _without(case, "backward", "environment"),
            "provenance": _part(case, provenance),
        }
        for case in row["cases"]
    ]
    return {
        **_without(row, "peers"),
        "training": training,
        "threat_model": _threat_model(row["peers"]),
        "cases": cases,
    }


def _benchmark(fields: dict[str, Any]) -> dict[str, Any]:
    provenance = {"flags": {}, "seconds": None, **_provenance(fields)}
    return {
        **_without(fields, *_PROVENANCE),
        # The command is `python -m benchmarks.NAME`, flags after it.
        "name": provenance["command"].split()[2].removeprefix("benchmarks."),
        "provenance": provenance,
    }


def _threat_model(peers: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the fields of a `ThreatModel`; None for a model without peers."""
    if not peers:
        return None
    return {
        "policy": peers["policy"],
        "defended": peers["judged"],
        "attacker": peers["attacked"],
    }


def _part(fields: dict[str, Any], provenance: dict[str, Any]) -> dict[str, Any]:
    """Returns the provenance of a training or an attack of a comparison.

    The oldest comparisons know only their own environment.
    """
    return {
        **provenance,
        **fields.get("environment", {}),
        "seconds": fields.get("seconds"),
    }


def _provenance(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in _PROVENANCE if name in fields}


def _without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: fields[name] for name in fields if name not in names}
