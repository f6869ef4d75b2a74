"""Damaged files, each given to the commands that read it.

A trial copies the valid samples that it needs, damages one file and runs a
command on it. Damage that a command repairs, such as a log whose last line was
cut, is written down as allowed.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Callable

from trials import damages
from trials.trial import ACCEPTED, EITHER, REFUSED, Trial

_MARK = "code_was_run"
_RANDOM_FIELDS = 12


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostileFile:
    """A trial with a damaged file.

    Attributes:
        trial: the `Trial`; its folder holds a copy of the sample.
        sample: str, the sample that is copied, a file or a folder.
        target: str, the file in the trial's folder that is damaged.
        damage: function of the path of that file.
    """

    trial: Trial
    sample: str
    target: str
    damage: Callable[[pathlib.Path], object]

    def prepare(self, samples, folder: pathlib.Path) -> None:
        """Copies the sample into the trial's folder and damages the file."""
        source = samples.root / self.sample
        if source.is_dir():
            shutil.copytree(source, folder / self.sample)
        else:
            shutil.copy(source, folder / self.sample)
        self.damage(folder / self.target)


def ran_code(folder: pathlib.Path) -> bool:
    """Returns whether a command ran code of the damaged file."""
    return _mark(folder).exists()


def generate(samples, folder_of, seed):
    """Returns all trials.

    Args:
        samples: the `Samples`.
        folder_of: function from a trial's number to its folder.
        seed: int, the seed of the fields that are damaged.
    """
    found = []
    for reader in _readers(samples):
        module, sample, target, arguments, specific, resumes = reader
        valid = samples.root / target
        mark = _mark(folder_of(len(found)))
        every = {**damages.everywhere(), **specific(valid, mark, seed)}
        for name in every:
            # A pickle names the mark of its own trial.
            mark = _mark(folder_of(len(found)))
            damage = {
                **damages.everywhere(),
                **specific(valid, mark, seed),
            }[name]
            trial = Trial(
                name=f"{target}: {name}",
                module=module,
                arguments=arguments,
                mentions=(pathlib.Path(target).name,),
                expected=_expected(target, name),
                may_write=resumes,
            )
            found.append(
                HostileFile(
                    trial=trial, sample=sample, target=target, damage=damage
                )
            )
    return found


def _mark(folder: pathlib.Path) -> pathlib.Path:
    return folder.with_name(f"{folder.name}.{_MARK}")


def _expected(target, damage):
    """Returns what a command makes of a damaged file."""
    if " = " in damage:
        # A random value may be one that the field allows.
        return EITHER
    repaired = {
        ("batches.jsonl", "empty"),
        ("batches.jsonl", "half"),
        # One line that was never finished, as after a kill.
        ("batches.jsonl", "zeros"),
        ("batches.jsonl", "random bytes"),
        # Written again from the checkpoint.
        ("training.csv", "empty"),
        ("training.csv", "half"),
        ("training.csv", "zeros"),
        ("training.csv", "random bytes"),
        ("training.csv", "dangling link"),
        ("training.csv", "link to itself"),
        ("batches.jsonl", "dangling link"),
        ("good.flags", "empty"),
    }
    pair = pathlib.Path(target).name, damage
    if pair == ("batches.jsonl", "random bytes"):
        return EITHER
    return ACCEPTED if pair in repaired else REFUSED


def _json(valid, mark, seed):
    del mark
    fields = damages.of_json_fields(valid, _RANDOM_FIELDS, seed)
    return {**damages.of_json(), **fields}


def _config(valid, mark, seed):
    del mark
    # A configuration may be empty, and keys that it does not know are errors.
    found = {**damages.of_json(), **damages.of_json_fields(valid, 6, seed)}
    del found["an empty object"]
    return found


def _data(valid, mark, seed):
    del valid, seed
    images = damages.of_archive("x_train", mark)
    return {**images, **damages.of_labels()}


def _checkpoint(valid, mark, seed):
    del valid, seed
    return {
        **damages.of_archive("history", mark),
        **damages.of_archive("optimizer/iteration", mark),
    }


def _nothing(valid, mark, seed):
    del valid, mark, seed
    return {}


def _readers(samples):
    """Yields each file that a command reads, and the command.

    A tuple of the module, the sample that is copied, the damaged file in it,
    the arguments, a function that returns more damages, and whether the command
    may write although it fails.
    """
    train, evaluate = samples.train, samples.evaluate
    challenge = samples.challenge

    def array(valid, mark, seed):
        del valid, seed
        return damages.of_array(mark)

    def model(valid, mark, seed):
        del valid, seed
        return damages.of_model(mark)

    def log(valid, mark, seed):
        del mark
        fields = damages.of_log()
        del valid, seed
        return fields

    resumed = (*train, "--output_dir=train")
    attacked = (*evaluate, "--output_dir=evaluate")
    report, publish = "peernets_tf.report", "peernets_tf.publish"
    trainer, attacker = "peernets_tf.train", "peernets_tf.evaluate"
    yield (
        report,
        "train",
        "train/record.json",
        ("train/record.json", "--curves"),
        _json,
        False,
    )
    yield (
        report,
        "evaluate",
        "evaluate/record.json",
        ("evaluate/record.json",),
        _json,
        False,
    )
    publish_flags = ("--run_dir=train", "--name=small", "--output_dir=.")
    yield publish, "train", "train/record.json", publish_flags, _nothing, False
    yield publish, "train", "train/model.keras", publish_flags, _nothing, False
    yield trainer, "train", "train/run.json", resumed, _json, True
    yield (
        trainer,
        "train",
        "train/checkpoint-0002.npz",
        resumed,
        _checkpoint,
        True,
    )
    yield trainer, "train", "train/training.csv", resumed, _nothing, True
    yield attacker, "evaluate", "evaluate/run.json", attacked, _json, True
    yield attacker, "evaluate", "evaluate/batches.jsonl", attacked, log, True
    yield (
        attacker,
        "train",
        "train/model.keras",
        (*evaluate, "--checkpoint=train/model.keras", "--output_dir=out"),
        model,
        False,
    )
    yield (
        trainer,
        "train",
        "train/model.keras",
        (*train, "--initial_model=train/model.keras", "--output_dir=out"),
        _nothing,
        False,
    )
    yield (
        attacker,
        "perturbation.npy",
        "perturbation.npy",
        (
            *samples.universal,
            "--perturbation=perturbation.npy",
            "--output_dir=out",
        ),
        array,
        False,
    )
    yield (
        trainer,
        "gray.npz",
        "gray.npz",
        (*train, "--dataset=gray.npz", "--output_dir=out"),
        _data,
        False,
    )
    yield (
        trainer,
        "good.flags",
        "good.flags",
        (*train, "--flagfile=good.flags", "--output_dir=out"),
        _nothing,
        False,
    )
    yield (
        "madry_challenge.run_attack",
        "attack.npy",
        "attack.npy",
        (
            "--checkpoint=cifar10_resnet32",
            "--attack=attack.npy",
            f"--data_dir={samples.path('binary')}",
        ),
        _nothing,
        False,
    )
    yield (
        "madry_challenge.train",
        "challenge",
        "challenge/config.json",
        (*challenge, "--config=challenge/config.json", "--output_dir=out"),
        _config,
        False,
    )
    yield (
        "madry_challenge.train",
        "challenge",
        "challenge/run.json",
        (*challenge, "--output_dir=challenge"),
        _nothing,
        True,
    )
