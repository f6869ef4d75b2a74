"""The networks that records speak of, loaded for pictures."""

import dataclasses
import os
from collections.abc import Sequence

import keras

from peernets_tf import models
from peernets_tf.errors import UserError
from peernets_tf.records import (
    AttackRecord,
    Source,
    TrainingRecord,
    dataset_name,
    network_name,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A network of records and its file.

    Attributes:
        model: str, the model's name.
        dataset: str, the data set's name.
        is_peernet: bool.
        path: str, the .keras file; it may be missing.
        weights_sha256: str, the hash of its weights in the records.
        command: str, the command of the record that names it.
    """

    model: str
    dataset: str
    is_peernet: bool
    path: str
    weights_sha256: str
    command: str

    @property
    def name(self) -> str:
        """The network and its data set in words."""
        network = network_name(self.model)
        return f"{network} on {dataset_name(self.dataset)}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """The networks of one data set that are shown together.

    Attributes:
        dataset: str, the data set's name.
        peernet: the `Network` with peers, or None.
        plain: the `Network` without, or None.
    """

    dataset: str
    peernet: Network | None
    plain: Network | None

    @property
    def networks(self) -> list[Network]:
        """Those that there are, the plain one first."""
        return [n for n in (self.plain, self.peernet) if n is not None]


def pairs(sources: Sequence[Source]) -> list[Pair]:
    """Returns the networks to show, one pair for each data set.

    Networks that were attacked come before those that were only trained, files
    that exist before those that are missing. The plain network is that which
    the PeerNet was made from, if the records have it.
    """
    found = [n for s in sources if (n := _network(s)) is not None]
    datasets = dict.fromkeys(network.dataset for network in found)
    return [
        _pair(name, [n for n in found if n.dataset == name])
        for name in datasets
    ]


def load(network: Network) -> keras.Model:
    """Loads a network and compares its weights with those of the records.

    Raises:
        UserError: if the file is missing, damaged, or of other weights. The
            message says how to get the right one.
    """
    if not os.path.exists(network.path):
        raise UserError(
            f"the file {network.path} is missing: train the network again, or "
            "give the record.json that lies beside its model.keras. Received: "
            f"a record of {network.command}"
        )
    model = models.load(network.path)
    if models.weights_sha256(model) != network.weights_sha256:
        raise UserError(
            f"the weights in {network.path} are not those of the record: give "
            "the records of this file, or the file of these records"
        )
    return model


def _network(source: Source) -> Network | None:
    """Returns the network of a record, or None.

    A record may name no file. The pictures do not show what a network rejects.
    """
    record = source.record
    if isinstance(record, AttackRecord) and record.rejected_as is None:
        path = models.preset_path(record.checkpoint)
        is_peernet = record.threat_model is not None
    elif isinstance(record, TrainingRecord) and source.model:
        path = source.model
        is_peernet = record.graphs is not None
    else:
        return None
    return Network(
        model=record.model,
        dataset=record.dataset,
        is_peernet=is_peernet,
        path=path,
        weights_sha256=record.weights_sha256,
        command=record.provenance.command,
    )


def _pair(dataset: str, found: Sequence[Network]) -> Pair:
    # The sort keeps the order of records, and False comes before True.
    ordered = sorted(found, key=lambda n: not os.path.exists(n.path))
    peernets = [network for network in ordered if network.is_peernet]
    peernet = next(iter(peernets), None)
    plain = [network for network in ordered if not network.is_peernet]
    if peernet is not None:
        base = peernet.model.removeprefix("pr_")
        plain.sort(key=lambda network: network.model != base)
    return Pair(dataset=dataset, peernet=peernet, plain=next(iter(plain), None))
