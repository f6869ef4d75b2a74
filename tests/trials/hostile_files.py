"""Damaged files, each given to a command that reads it.

A trial copies the valid sample that it needs, damages one file and runs the
command. Damage that a command repairs, such as a log whose last line was cut,
is written down as allowed.
"""

import dataclasses
import pathlib
import shutil
from collections.abc import Callable

from trials import damages
from trials.trial import ACCEPTED, EITHER, REFUSED, Trial

_RANDOM_FIELDS = 12
# What stays usable, by the name of the file.
_REPAIRED = {
    # Its last line was never finished, as after a kill.
    "batches.jsonl": ("empty", "half", "zeros", "dangling link"),
    # Written anew from the checkpoint.
    "training.csv": (
        "empty",
        "half",
        "zeros",
        "random bytes",
        "dangling link",
        "link to itself",
    ),
    "good.flags": ("empty",),
    # All keys have defaults.
    "config.json": ("an empty object",),
}
# What may be usable: random bytes may be one unfinished line, and half of a
# flag file may end after a flag.
_UNKNOWN = {
    "batches.jsonl": ("random bytes",),
    "good.flags": ("half", "includes itself"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reader:
    """A command that reads a file.

    Attributes:
        module: str, the command's module.
        arguments: tuple of str, its command line.
        target: str, the file, below the folder that the command runs in. The
            first part of the path is the sample that is copied there.
        damages: dict of functions, damages that only this kind of file has.
        has_file: bool, whether the sample holds the file: the damages of every
            file need one.
        may_write: bool, whether the command may write although it fails.
    """

    module: str
    arguments: tuple[str, ...]
    target: str
    damages: dict[str, Callable] = dataclasses.field(default_factory=dict)
    has_file: bool = True
    may_write: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostileFile:
    """A trial with a damaged file.

    Attributes:
        trial: the `Trial`.
        target: str, see `Reader`.
        damage: function of the path of that file.
    """

    trial: Trial
    target: str
    damage: Callable[[pathlib.Path], object]

    def prepare(self, samples, folder: pathlib.Path) -> None:
        """Copies the sample into the trial's folder and damages the file."""
        sample = pathlib.Path(self.target).parts[0]
        source = samples.root / sample
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / sample)
        self.damage(folder / self.target)


def ran_code(folder: pathlib.Path) -> bool:
    """Returns whether a command ran code of the damaged file."""
    return (folder / damages.MARK).exists()


def generate(samples, seed):
    """Returns all trials.

    Args:
        samples: the `Samples`.
        seed: int, the seed of the fields of JSON files that are damaged.
    """
    found = []
    for reader in _readers(samples, seed):
        every = damages.everywhere() if reader.has_file else {}
        for name, damage in {**every, **reader.damages}.items():
            trial = Trial(
                name=f"{reader.target}: {name}",
                module=reader.module,
                arguments=reader.arguments,
                mentions=_mentions(reader.target),
                expected=_expected(pathlib.Path(reader.target).name, name),
                may_write=reader.may_write,
            )
            found.append(
                HostileFile(trial=trial, target=reader.target, damage=damage)
            )
    return found


def _expected(name, damage):
    """Returns what a command makes of a damaged file."""
    is_random = " = " in damage
    if is_random or damage in _UNKNOWN.get(name, ()):
        # A random value may be one that the field allows.
        return EITHER
    return ACCEPTED if damage in _REPAIRED.get(name, ()) else REFUSED


def _readers(samples, seed):
    """Returns the `Reader`s of all kinds of files."""
    return [
        *_of_records(samples, seed),
        *_of_runs(samples, seed),
        *_of_models_and_data(samples),
        *_of_settings(samples, seed),
    ]


def _of_records(samples, seed):
    publish = ("--run_dir=train", "--name=small", "--output_dir=.")
    readers = [
        Reader(
            module="peernets_tf.report",
            arguments=(target, "--curves"),
            target=target,
            damages=_of_json(samples, target, seed),
        )
        for target in ("train/record.json", "evaluate/record.json")
    ]
    readers += [
        Reader(
            module="peernets_tf.publish",
            arguments=publish,
            target=f"train/{name}",
        )
        for name in ("record.json", "model.keras")
    ]
    return readers


def _of_runs(samples, seed):
    """Returns readers of the files from which a run resumes."""
    train = (*samples.train, "--output_dir=train")
    evaluate = (*samples.evaluate, "--output_dir=evaluate")
    challenge = (*samples.challenge, "--output_dir=challenge")
    checkpoint = {
        **damages.of_archive("history"),
        **damages.of_archive("optimizer/iteration"),
    }
    cases = [
        ("train", train, "run.json", _of_json(samples, "train/run.json", seed)),
        ("train", train, "checkpoint-0002.npz", checkpoint),
        ("train", train, "training.csv", {}),
        (
            "evaluate",
            evaluate,
            "run.json",
            _of_json(samples, "evaluate/run.json", seed),
        ),
        ("evaluate", evaluate, "batches.jsonl", damages.of_log()),
    ]
    readers = [
        Reader(
            module=f"peernets_tf.{command}",
            arguments=arguments,
            target=f"{command}/{name}",
            damages=specific,
            may_write=True,
        )
        for command, arguments, name, specific in cases
    ]
    readers.append(
        Reader(
            module="madry_challenge.train",
            arguments=challenge,
            target="challenge/run.json",
            may_write=True,
        )
    )
    readers.append(
        Reader(
            module="peernets_tf.train",
            arguments=(*samples.train, "--output_dir=a_folder"),
            target="a_folder/tensorboard",
            damages={"is a file": lambda path: path.write_text("x")},
            has_file=False,
            may_write=True,
        )
    )
    return readers


def _of_models_and_data(samples):
    model, data = "train/model.keras", "gray.npz"
    train, evaluate = samples.train, samples.evaluate
    return [
        Reader(
            module="peernets_tf.evaluate",
            arguments=(*evaluate, f"--checkpoint={model}", "--output_dir=out"),
            target=model,
            damages=damages.of_model(),
        ),
        *[
            Reader(
                module="peernets_tf.explain",
                arguments=(
                    *samples.explain,
                    f"--image={photo}",
                    "--output=out.png",
                ),
                target=photo,
                damages=damages.of_image(),
            )
            for photo in ("photo.png", "photo.jpg")
        ],
        Reader(
            module="peernets_tf.explain",
            arguments=(
                *samples.explain,
                f"--checkpoint={model}",
                "--output=out.png",
            ),
            target=model,
        ),
        Reader(
            module="peernets_tf.train",
            arguments=(*train, f"--initial_model={model}", "--output_dir=out"),
            target=model,
        ),
        Reader(
            module="peernets_tf.evaluate",
            arguments=(
                *samples.universal,
                "--perturbation=perturbation.npy",
                "--output_dir=out",
            ),
            target="perturbation.npy",
            damages=damages.of_array(),
        ),
        Reader(
            module="peernets_tf.train",
            arguments=(*train, f"--dataset={data}", "--output_dir=out"),
            target=data,
            damages={**damages.of_archive("x_train"), **damages.of_labels()},
        ),
        Reader(
            module="madry_challenge.run_attack",
            arguments=(
                "--checkpoint=cifar10_resnet32",
                "--attack=attack.npy",
                # An empty folder would be filled by a download.
                f"--data_dir={samples.path('binary')}",
            ),
            target="attack.npy",
        ),
        Reader(
            module="madry_challenge.import_checkpoint",
            arguments=("--checkpoint=a_folder", "--output=out.keras"),
            target="a_folder/checkpoint",
            damages=damages.of_state(),
            has_file=False,
        ),
    ]


def _of_settings(samples, seed):
    """Returns readers of files that hold flags and configurations."""
    config = "challenge/config.json"
    return [
        Reader(
            module="peernets_tf.train",
            arguments=(
                *samples.train,
                "--flagfile=good.flags",
                "--output_dir=out",
            ),
            target="good.flags",
            damages=damages.of_flag_file(),
        ),
        Reader(
            module="madry_challenge.train",
            arguments=(
                *samples.challenge,
                f"--config={config}",
                "--output_dir=out",
            ),
            target=config,
            damages=_of_json(samples, config, seed),
        ),
    ]


def _of_json(samples, target, seed):
    fields = damages.of_json_fields(samples.root / target, _RANDOM_FIELDS, seed)
    return {**damages.of_json(), **fields}


def _mentions(target):
    """Returns what a line may name: the file, its folder, or a flag in it."""
    path = pathlib.PurePath(target)
    if path.name == "checkpoint":
        # TensorFlow's own reader is given the folder.
        return (str(path.parent),)
    if path.name == "run.json":
        # It says what run the folder holds.
        return (path.name, str(path.parent))
    if path.suffix == ".flags":
        return (path.name, "epochs", "nonsense", "no/such.flags")
    return (path.name,)
