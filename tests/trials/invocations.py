"""Wrong command lines, generated from the flags of each command.

Each flag gets each wrong value of its type. Then come flags that do not fit
each other, unknown flags, surplus arguments, flag files and backends. A value
that is allowed although it looks wrong is written down as allowed: its command
line has a second, certain fault, which the error must name instead.
"""

import json
import subprocess
import sys

from trials import wrong_values
from trials.trial import COMMANDS, Trial

# Prints the flags of a command as JSON.
_DESCRIBE = """
import importlib, json, sys
from absl import flags
importlib.import_module(sys.argv[1])
found = flags.FLAGS.get_key_flags_for_module(sys.argv[1])
print(json.dumps([
    {
        "name": flag.name,
        "type": flag.flag_type(),
        "lower": getattr(flag.parser, "lower_bound", None),
        "upper": getattr(flag.parser, "upper_bound", None),
    }
    for flag in found
]))
"""
_SURPLUS = "surplus"
# What makes a flag matter, for those that a command ignores or refuses alone.
_COMPANIONS = {
    ("peernets_tf.train", "data_dir"): ("--dataset=mnist",),
    ("peernets_tf.train", "decay_epochs"): ("--schedule=step",),
    ("peernets_tf.train", "decay_factor"): ("--schedule=step",),
    ("peernets_tf.train", "momentum"): ("--optimizer=momentum",),
    ("peernets_tf.evaluate", "data_dir"): ("--dataset=mnist",),
    ("peernets_tf.evaluate", "perturbation"): ("--attack=universal",),
    ("peernets_tf.evaluate", "temperature"): ("--backward=soft",),
    ("peernets_tf.explain", "data_dir"): ("--dataset=mnist",),
    ("madry_challenge.train", "data_dir"): ("--dataset=cifar10",),
    ("madry_challenge.evaluate", "data_dir"): ("--dataset=cifar10",),
    ("madry_challenge.evaluate", "watch_seconds"): ("--watch",),
    ("madry_challenge.compare", "data_dir"): ("--dataset=cifar10",),
}
# Flags that the valid command line of a command does not read.
_UNREAD = {("peernets_tf.publish", "data_dir")}
# Flags of a command that do not fit each other, and what the line names.
_COMBINATIONS = {
    "peernets_tf.train": [
        ("--batch_size=1000", "batch_size"),
        ("--num_peers=1000", "num_peers"),
        ("--schedule=step --decay_epochs=3,2", "decay_epochs"),
        ("--schedule=step --decay_epochs=2,2", "decay_epochs"),
        ("--dataset=cifar10 --data_dir={samples}/binary", "data_dir"),
        ("--initial_model={samples}/gray.npz", "gray.npz"),
        ("--initial_model=cifar10_resnet32", "shape"),
        ("--model=lenet5 --tensorboard_images", "tensorboard_images"),
    ],
    "peernets_tf.evaluate": [
        ("--attack=fgsm --steps=3", "steps"),
        ("--attack=fgsm --restarts=3", "restarts"),
        ("--attack=noise --steps=3", "steps"),
        ("--attack=noise --loss=margin", "loss"),
        ("--attack=deepfool --restarts=2", "restarts"),
        ("--attack=deepfool --random_start", "random_start"),
        ("--attack=gradient_descent --norm=linf", "norm"),
        ("--attack=pgd --maker=gradient", "maker"),
        ("--attack=pgd --maker_batch_size=4", "maker_batch_size"),
        ("--attack=pgd --train_size=4", "train_size"),
        ("--attack=pgd --passes=4", "passes"),
        ("--attack=pgd --fooling_rate=0.4", "fooling_rate"),
        ("--attack=pgd --perturbation=x.npy", "perturbation"),
        ("--epsilon=0.1 --rho=0.1", "rho"),
        ("--rho=0.1 --norm=linf", "norm"),
        ("--epsilon=8", "epsilon"),
        ("--search --epsilon=0.1,0.2", "epsilon"),
        ("--search --rho=0.1", "rho"),
        ("--attack=universal --search", "search"),
        ("--attack=universal --targeted", "targeted"),
        ("--restarts=2 --nokeep_best", "restarts"),
        ("--stop_when_fooled --nokeep_best", "stop_when_fooled"),
        ("--dataset={samples}/color.npz", "shape"),
        ("--checkpoint={samples}/challenge/model.keras", "shape"),
        ("--num_peers=1000", "num_peers"),
        ("--num_peers=1", "num_peers"),
        ("--checkpoint=cifar10_resnet32", "shape"),
        ("--output_dir={samples}/train", "train"),
    ],
    "peernets_tf.explain": [
        ("--image=30", "image"),
        ("--image={samples}/gray.npz", "gray.npz"),
        ("--dataset={samples}/color.npz", "shape"),
        ("--num_peers=1000", "num_peers"),
        ("--num_peers=1", "num_peers"),
        ("--checkpoint=mnist_lenet5 --num_peers=3", "num_peers"),
        ("--checkpoint=cifar10_resnet32", "shape"),
    ],
    "madry_challenge.train": [
        ("--step_size_schedule=5:0.1", "step_size_schedule"),
        ("--step_size_schedule=0:0.1,0:0.2", "step_size_schedule"),
        ("--step_size_schedule=0:-1", "step_size_schedule"),
        ("--training_batch_size=1000", "batch_size"),
        ("--num_peers=1000", "num_peers"),
        ("--num_peers=1", "num_peers"),
        ("--initial_model=cifar10_resnet32", "shape"),
        ("--output_dir={samples}/train", "train"),
    ],
    "madry_challenge.evaluate": [
        ("--num_steps=0", "steps"),
        ("--watch", "watch"),
        ("--checkpoint={samples}/a_folder", "a_folder"),
        ("--dataset={samples}/gray.npz", "shape"),
        ("--num_peers=1000", "num_peers"),
        ("--checkpoint=cifar10_resnet32", "shape"),
    ],
    "madry_challenge.compare": [
        ("--num_steps=0", "steps"),
        ("--num_peers=1000", "num_peers"),
        ("--backward=exact", "backward"),
        ("--checkpoint=resnet32=none.keras", "none.keras"),
        ("--checkpoint=resnet32=", "checkpoint"),
        ("--checkpoint=resnet18=x", "checkpoint"),
        ("--checkpoint=resnet32=a --checkpoint=resnet32=b", "checkpoint"),
        ("--checkpoint=resnet32={samples}/train/model.keras", "resnet32"),
    ],
}


def generate(samples, environment):
    """Returns all trials.

    Args:
        samples: the `Samples`.
        environment: dict of str, the variables of the processes that list the
            flags of the commands.
    """
    trials = []
    for module in COMMANDS:
        base = bases(samples)[module]
        for flag in _flags_of(module, environment):
            trials += _trials_of_flag(module, base, flag, samples)
        trials += _trials_of_command(module, base, samples)
    return [*trials, *_trials_of_backends(samples)]


def bases(samples):
    """Returns a short valid command line of each command, by its module."""
    return {
        "peernets_tf.train": (*samples.train, "--output_dir=out"),
        # Not every attack has steps.
        "peernets_tf.evaluate": (
            *(f for f in samples.evaluate if f != "--steps=2"),
            "--output_dir=out",
        ),
        "peernets_tf.explain": (*samples.explain, "--output=out.png"),
        "peernets_tf.report": (samples.path("train/record.json"),),
        "peernets_tf.publish": (
            f"--run_dir={samples.path('train')}",
            "--name=small",
            "--output_dir=.",
        ),
        "madry_challenge.train": (*samples.challenge, "--output_dir=out"),
        "madry_challenge.evaluate": (
            *samples.challenge_evaluate,
            "--output_dir=out",
        ),
        "madry_challenge.compare": (
            "--budget=smoke",
            f"--dataset={samples.path('color.npz')}",
            "--num_peers=8",
            "--output_dir=out",
        ),
        "madry_challenge.run_attack": (
            "--checkpoint=cifar10_resnet32",
            f"--attack={samples.path('attack.npy')}",
            # A folder without data would be filled by a download.
            f"--data_dir={samples.path('binary')}",
        ),
        "madry_challenge.import_checkpoint": (
            f"--checkpoint={samples.path('a_folder')}",
            "--output=out.keras",
        ),
    }


def _flags_of(module, environment):
    """Returns the flags of a command: name, type and bounds of each."""
    process = subprocess.run(
        [sys.executable, "-c", _DESCRIBE, module],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    return json.loads(process.stdout.splitlines()[-1])


def _trials_of_flag(module, base, flag, samples):
    name, kind = flag["name"], flag["type"]
    if (module, name) in _UNREAD:
        return
    wrong, accepted = _values(flag)
    companions = tuple(
        text.format(samples=samples.root)
        for text in _COMPANIONS.get((module, name), ())
    )
    for value in wrong:
        value = value.format(samples=samples.root)
        yield Trial(
            name=f"{kind} {name}",
            module=module,
            arguments=(*base, *companions, f"--{name}={value}"),
            mentions=_names(name, value),
        )
    for value in accepted:
        yield Trial(
            name=f"{kind} {name}, allowed",
            module=module,
            arguments=(*base, f"--{name}={value}", _SURPLUS),
            mentions=(_SURPLUS, name),
        )


def _values(flag):
    """Returns the wrong values of a flag, and the allowed ones."""
    kind, name = flag["type"], flag["name"]
    if kind in ("int", "float"):
        is_integer = kind == "int"
        wrong = wrong_values.wrong_numbers(
            is_integer, flag["lower"], flag["upper"]
        )
        return wrong, wrong_values.accepted_numbers(is_integer)
    if kind == "bool":
        return wrong_values.WRONG_BOOLEANS, ()
    if kind == "string enum":
        return wrong_values.WRONG_CHOICES, ()
    if "list" in kind:
        return wrong_values.WRONG_LISTS, ()
    return (
        wrong_values.WRONG_TEXTS[name],
        wrong_values.ACCEPTED_TEXTS.get(name, ()),
    )


def _names(name, value):
    """Returns what a line may call a flag: its name, a word of it, its file."""
    printable = value if value.isprintable() and len(value) > 3 else ""
    return tuple(
        word for word in (name, name.replace("_", " "), printable) if word
    )


def _trials_of_command(module, base, samples):
    """Yields trials that do not depend on the type of one flag."""
    for text, mention in _COMBINATIONS.get(module, ()):
        flags = text.format(samples=samples.root).split(" ")
        yield Trial(
            name="combination",
            module=module,
            arguments=(*base, *flags),
            mentions=(mention,),
        )
    for flag in ("--nonsense=1", "--\u00b2", "--sed=3", "--Seed=3", "--=1"):
        yield Trial(
            name="unknown flag",
            module=module,
            arguments=(*base, flag),
            mentions=(flag.strip("-=123") or "--=1",),
        )
    for word in (_SURPLUS, "\x1b[31m", "-"):
        yield Trial(
            name="argument",
            module=module,
            arguments=(*base, word),
            mentions=(_SURPLUS,) if word == _SURPLUS else (),
        )
    for path in ("no/such.flags", "{samples}/a_folder", "{samples}/binary"):
        path = path.format(samples=samples.root)
        yield Trial(
            name="flag file",
            module=module,
            arguments=(*base, f"--flagfile={path}"),
            mentions=(path.rsplit("/", 1)[1],),
        )


def _trials_of_backends(samples):
    """Yields trials of Keras backends that a command cannot use."""
    for module in ("peernets_tf.train", "madry_challenge.train"):
        for backend in ("torch", "numpy", "nonsense"):
            yield Trial(
                name="backend",
                module=module,
                arguments=bases(samples)[module],
                mentions=("KERAS_BACKEND",),
                environment={"KERAS_BACKEND": backend},
            )
