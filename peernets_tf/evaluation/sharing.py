"""Puts the batches of several shards together."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from peernets_tf import records
from peernets_tf.errors import IncompleteError, UserError
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.shard import Shard
from peernets_tf.evaluation.target import Target

Found = TypeVar("Found")
SomeRecord = TypeVar("SomeRecord", records.AttackRecord, records.SuiteRecord)

# A network's file system shows what another machine wrote a little later.
_SECONDS_BETWEEN_LOOKS = 1.0
# The most shards that a message names.
_MAX_NAMED = 4


def all_batches(
    target: Target,
    names: Sequence[str],
    log: BatchLog,
    work: Callable[[Target], Found],
    *,
    of: str,
    waits: bool,
) -> Found:
    """Does the batches of a shard, and returns what all shards have found.

    Args:
        target: the `Target`, whose shard does `work`.
        names: sequence of str, what `work` stores the rows of a batch under.
        log: the `BatchLog`.
        work: function of a `Target` that does its batches, each once, and
            returns what is found.
        of: str, the folder or the attack that messages name, as in `3 of 8
            batches of OF`.
        waits: bool, whether to wait for batches of other shards.

    Returns:
        What `work` returns for the target with all batches, which then are all
        in the log.

    Raises:
        IncompleteError: if it does not wait and batches of other shards are
            missing. The message says how many, and what to do.
    """
    found = work(target)
    if target.shard.is_whole:
        return found
    log.refresh()
    missing = _missing(target, names, log)
    if missing:
        owners = _owners(target.shard, missing)
        complete = target.num_batches - len(missing)
        progress = f"{complete} of {target.num_batches} batches of {of}"
        if not waits:
            raise IncompleteError(
                f"Shard {target.shard} has ended; {progress} are complete. "
                f"Batches of {owners} are missing: start what is not running, "
                "or this shard again if all have ended. The last shard to end "
                "writes record.json"
            )
        print(f"Waiting for {owners}: {progress} are complete", flush=True)
    while missing:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        log.refresh()
        missing = _missing(target, names, log)
        if missing and _owners(target.shard, missing) != owners:
            owners = _owners(target.shard, missing)
            print(f"Waiting for {owners}", flush=True)
    return work(dataclasses.replace(target, shard=Shard()))


def write_once(
    record: SomeRecord, folder: str, shard: Shard, log: BatchLog
) -> SomeRecord:
    """Writes the record of an evaluation, of which shards write only one.

    A start that finds all batches in the log leaves the record that is there,
    which has the time that they took.

    Args:
        record: the record.
        folder: str, the folder of the evaluation.
        shard: the `Shard` that has put all batches together.
        log: the `BatchLog`.

    Returns:
        The record that is in the folder's record.json.
    """
    path = os.path.join(folder, "record.json")
    with records.take_turn(folder):
        is_done = not (shard.is_whole and log.has_grown)
        if is_done and os.path.exists(path):
            # A damaged one is written again.
            with contextlib.suppress(UserError):
                found = records.read(path)
                if isinstance(found, type(record)):
                    return found
        records.write(record, path)
        return record


def _missing(
    target: Target, names: Sequence[str], log: BatchLog
) -> tuple[int, ...]:
    """Returns the numbers of the batches that lack a row."""
    return tuple(
        number
        for number in range(target.num_batches)
        if any(f"{name}/{number}" not in log for name in names)
    )


def _owners(shard: Shard, missing: Sequence[int]) -> str:
    """Returns the --shard flags of the processes whose batches are missing."""
    owners = sorted(
        {shard.owner(number) for number in missing}, key=lambda o: o.index
    )
    named = [f"--shard={owner}" for owner in owners[:_MAX_NAMED]]
    if len(owners) > len(named):
        named.append(f"{len(owners) - len(named)} more")
    return ", ".join(named)
