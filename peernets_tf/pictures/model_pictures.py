"""The pictures that need the networks and the data sets of records."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import datasets, evaluation
from peernets_tf.errors import UserError
from peernets_tf.pictures import labels, networks
from peernets_tf.pictures.networks import Network, Pair
from peernets_tf.pictures.peers import peer_pictures
from peernets_tf.pictures.strengths import strength_pictures
from peernets_tf.pictures.style import Picture
from peernets_tf.pictures.universal import budget_of, universal_pictures
from peernets_tf.records import AttackRecord, Source, dataset_name, network_name

_Fit = tuple[Network, AttackRecord, dict[float, NDArray[np.float32]]]


def model_pictures(
    sources: Sequence[Source],
    *,
    data_dir: str | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> tuple[list[Picture], list[str]]:
    """Returns Figures 1, 3, 4, 6, 8 and 9, and what is missing for others.

    Args:
        sources: sequence of `Source`s.
        data_dir: str or None, the folder of TensorFlow Datasets.
        seed: int, the seed of what is drawn.
        say: function that shows a line before each slow picture.

    Returns:
        The `Picture`s, and one line for each network, data set or picture that
        could not be used, with the reason.
    """
    pictures: list[Picture] = []
    missing: list[str] = []
    for pair in networks.pairs(sources):
        loaded: dict[Network, keras.Model] = {}
        for network in pair.networks:
            try:
                loaded[network] = networks.load(network)
            except UserError as error:
                missing.append(f"{network.name}: {error}.")
        if not loaded:
            continue
        name = dataset_name(pair.dataset)
        try:
            dataset = datasets.load(pair.dataset, data_dir)
            for model in loaded.values():
                evaluation.check_fits(model, dataset)
        except UserError as error:
            missing.append(f"Pictures of networks on {name}: {error}.")
            continue
        fits, lost = _fits(list(loaded), sources)
        missing += [
            f"Figures 4 and 8 ({name}): the perturbations of {path} are not "
            "beside it. Run its command again, and give the record.json of "
            "the new folder."
            for path in lost
        ]
        for title, draw in _jobs(pair, loaded, dataset, fits, seed):
            say(f"Drawing {title} ({name}) ...")
            try:
                pictures += (_of_dataset(p, pair.dataset) for p in draw())
            except UserError as error:
                missing.append(f"{title} ({name}): {error}.")
    return pictures, missing


def _jobs(
    pair: Pair,
    loaded: Mapping[Network, keras.Model],
    dataset: datasets.Dataset,
    fits: Sequence[_Fit],
    seed: int,
) -> list[tuple[str, Callable[[], list[Picture]]]]:
    """Returns what can be drawn: the names of figures, and functions."""
    jobs: list[tuple[str, Callable[[], list[Picture]]]] = []
    peernet = loaded.get(pair.peernet) if pair.peernet else None
    if peernet is not None:
        jobs.append(
            (
                "Figures 1 and 3",
                lambda: peer_pictures(peernet, dataset, seed=seed),
            )
        )
    if fits:
        jobs.append(
            (
                "Figures 4 and 8",
                lambda: universal_pictures(
                    [loaded[network] for network, _, _ in fits],
                    [found for _, _, found in fits],
                    dataset,
                    backwards=[record.backward for _, record, _ in fits],
                    budget=_budget(fits),
                ),
            )
        )
    jobs.append(
        (
            "Figures 6 and 9",
            lambda: strength_pictures(
                list(loaded.values()), dataset, seed=seed
            ),
        )
    )
    return jobs


def _fits(
    shown: Sequence[Network], sources: Sequence[Source]
) -> tuple[list[_Fit], list[str]]:
    """Returns the universal perturbations of networks, their records with them.

    All are of the attack and the reading of rho of which there are most, one
    for each network and backward pass. The second list has a record of each
    network that has universal perturbations, but not beside its records.
    """
    by_attack: dict[tuple[str, str], dict[tuple[Network, str], _Fit]] = {}
    lost: dict[Network, str] = {}
    for network in shown:
        for source in sources:
            record = source.record
            if not (
                isinstance(record, AttackRecord)
                and record.is_universal
                and record.weights_sha256 == network.weights_sha256
                and record.is_direct
                and all(case.clip for case in record.cases)
            ):
                continue
            found = evaluation.perturbations_of(source.path)
            if found:
                reading = record.attack, record.cases[0].rho_of
                fits = by_attack.setdefault(reading, {})
                key = (network, record.backward)
                fits.setdefault(key, (network, record, found))
            else:
                lost.setdefault(network, source.path)
    most = max(by_attack.values(), key=len, default={})
    drawn = {network for network, _ in most}
    return list(most.values()), [
        path for network, path in lost.items() if network not in drawn
    ]


def _budget(fits: Sequence[_Fit]) -> str:
    """Returns sentences on the budgets of fits: one if they had the same."""
    budgets = [budget_of(record) for _, record, _ in fits]
    if len(set(budgets)) == 1:
        return budgets[0]
    return " ".join(
        f"{network_name(record.model)}, {record.backward}: {budget}"
        for (_, record, _), budget in zip(fits, budgets, strict=True)
    )


def _of_dataset(picture: Picture, dataset: str) -> Picture:
    """Returns a picture whose name and title tell its data set from others."""
    return dataclasses.replace(
        picture,
        name=f"{picture.name}_{labels.file_name(dataset)}",
        title=f"{picture.title} ({labels.dataset(dataset)})",
    )
