"""The tables of docs/ that compare trainings of several seeds."""

import statistics

from peernets_tf import records
from peernets_tf.records.tables import Table

# The defaults of flags that older records of trainings do not have.
_NEWER_FLAGS = {
    "distribution": None,
    "noise_share": 1.0,
    "noise_std": 0.0,
    "precision": "float32",
    "tensorboard_images": False,
}


def precisions(found):
    """Test accuracies of trainings that differ in precision and seed only."""
    rows = tuple(
        (
            records.network_name(first.model),
            first.epochs,
            first.provenance.flags["precision"],
            f"{first.test_size:,}",
            _listed(accuracies),
            f"{statistics.mean(accuracies):.1%}" if accuracies[1:] else "-",
        )
        for first, accuracies in _by_seed(
            found, lambda r: (r.model, r.provenance.flags["precision"])
        )
    )
    columns = (
        "network",
        "epochs",
        "precision",
        "test images",
        "accuracy by seed",
        "mean",
    )
    return [Table("", columns, rows)]


def seeds(found):
    """Test accuracies of trainings that differ in their seed only."""
    rows = tuple(
        (
            records.network_name(first.model),
            first.epochs,
            f"{first.test_size:,}",
            _listed(accuracies, 2),
            f"{statistics.mean(accuracies):.2%}",
            f"{100 * statistics.stdev(accuracies):.2f}",
        )
        for first, accuracies in _by_seed(found, lambda r: r.model)
    )
    columns = (
        "network",
        "epochs",
        "test images",
        "accuracy by seed",
        "mean",
        "standard deviation",
    )
    return [Table("", columns, rows)]


def _by_seed(found, key):
    """Returns the first record and all accuracies of each group of trainings.

    Raises:
        ValueError: if two trainings of a group differ in another flag than
            `seed` and `output_dir`.
    """
    groups = {}
    for record in sorted(found, key=lambda r: (key(r), r.provenance.seed)):
        first, accuracies = groups.setdefault(key(record), (record, []))
        flags, same = (
            {**_NEWER_FLAGS, **r.provenance.flags} for r in (record, first)
        )
        for name in (flags.keys() | same.keys()) - {"seed", "output_dir"}:
            if flags.get(name) != same.get(name):
                raise ValueError(f"--{name} differs: {key(record)}")
        accuracies.append(record.accuracy)
    return list(groups.values())


def _listed(accuracies, digits=1):
    return ", ".join(f"{accuracy:.{digits}%}" for accuracy in accuracies)
