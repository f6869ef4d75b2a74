"""The flags that name an attack, its strengths and its other arguments."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from absl import flags

from peernets_tf import adaptive, attacks, evaluation
from peernets_tf.cli import attack_options, numbers
from peernets_tf.errors import UserError, naming

Number = TypeVar("Number", int, float)

# The command that makes an `AttackFlags` owns them, and its --help shows them.
flags.disclaim_key_flags()

_UNIVERSAL = "universal"
_FITTED = [
    name.removeprefix(f"{_UNIVERSAL}.")
    for name, attack in attacks.ATTACKS.items()
    if issubclass(attack, attacks.UniversalAttack)
]
_OTHERS = [
    name for name, attack in adaptive.ATTACKS.items() if not attack.is_universal
]


class AttackFlags:
    """The flags of an attack and, in part, of a suite of attacks."""

    def __init__(self) -> None:
        self._strength = _define_strength()
        self._options = attack_options.define()
        self._fit = _define_fit()

    def attack(self) -> evaluation.AttackConfig:
        """Returns the attack that the flags describe."""
        strength, options, fit = self._strength, self._options, self._fit
        is_universal = strength["attack"].value == _UNIVERSAL
        for flag in (fit["maker"], options["batch_size"]):
            if flag.value is not None and (
                fit["perturbation"].value or not is_universal
            ):
                raise UserError(
                    f"--{flag.name} is for --attack=universal without "
                    "--perturbation: leave it out"
                )
        batch_size = options["batch_size"]
        if batch_size.value is not None and fit["maker"].value == "sequential":
            raise UserError(
                f"--{batch_size.name} is not for --maker=sequential, which "
                "takes one image at a time: leave it out"
            )
        name = strength["attack"].value
        if fit["perturbation"].value and is_universal:
            name = attacks.FixedPerturbation.name
        elif is_universal:
            name = f"{_UNIVERSAL}.{fit['maker'].value or 'deepfool'}"
        return evaluation.AttackConfig(
            name=name,
            norm=strength["norm"].value,
            epsilons=_list(strength["epsilon"], numbers.parse_numbers),
            rhos=_list(strength["rho"], numbers.parse_numbers),
            rho_of=strength["rho_of"].value,
            steps=_list(strength["steps"], numbers.parse_counts),
            search=strength["search"].value,
            train_size=fit["train_size"].value,
            perturbation=fit["perturbation"].value,
            options={
                option: flag.value
                for option, flag in options.items()
                if flag.value is not None
            },
        )

    def ball(self, reader: str) -> tuple[str | None, float | None]:
        """Returns the norm and the epsilon, the only flags that are read.

        Args:
            reader: str, what reads no other flag: `"--suite=adaptive"`.

        Raises:
            UserError: if another flag is given, or several radii.
        """
        norm, epsilon = self._strength["norm"], self._strength["epsilon"]
        others = {**self._strength, **self._options, **self._fit}
        del others["norm"], others["epsilon"]
        for flag in others.values():
            if flag.value != flag.default:
                raise UserError(
                    f"{reader} chooses its attacks itself and does not read "
                    f"--{flag.name}: leave it out"
                )
        radii = _list(epsilon, numbers.parse_numbers)
        if len(radii) > 1:
            raise UserError(
                f"{reader} takes one --epsilon. Received: {epsilon.value}"
            )
        return norm.value, radii[0] if radii else None


def _list(
    flag: flags.FlagHolder[Any],
    parse: Callable[[Sequence[str]], tuple[Number, ...]],
) -> tuple[Number, ...]:
    """Returns the numbers of a flag; none, if it is not given."""
    if flag.value is None:
        return ()
    with naming(f"--{flag.name}"):
        if not flag.value:
            raise UserError("give one or more numbers. Received: none")
        return parse(flag.value)


def _define_strength() -> dict[str, flags.FlagHolder[Any]]:
    return {
        "attack": flags.DEFINE_enum(
            "attack",
            None,
            [_UNIVERSAL, *_OTHERS],
            "Attack to run; this or --suite is required. universal is one "
            "perturbation for all images, noise is random noise as a control.",
        ),
        "norm": flags.DEFINE_enum(
            "norm",
            None,
            ["linf", "l2"],
            "Norm that limits perturbations (default: l2 for "
            "gradient_descent, universal and --rho; otherwise linf).",
        ),
        "epsilon": flags.DEFINE_list(
            "epsilon",
            None,
            "Largest norm of the perturbation of an image in [0, 1], such as "
            "0.03 or 8/255. Several, comma-separated, are tried one by one "
            "(default: 8/255 in L-infinity, 0.5 in L2).",
        ),
        "rho": flags.DEFINE_list(
            "rho",
            None,
            "Largest L2 norm of the perturbation, as a multiple of the mean L2 "
            "norm of the training images. Several, such as 0.04,0.08, are "
            "tried one by one (default: --epsilon is used).",
        ),
        "rho_of": flags.DEFINE_enum(
            "rho_of",
            "unit",
            attacks.RHO_READINGS,
            "Which x the mean L2 norm of --rho is of; the paper does not say. "
            "unit: the image in [0, 1]. centered: the image minus 1/2. "
            "standardized: the image minus the mean of each channel, over its "
            "standard deviation (default: unit).",
        ),
        "steps": flags.DEFINE_list(
            "steps",
            None,
            "Number of gradient steps. Several, comma-separated, are tried at "
            "each epsilon or rho (default: 40; 1 for finite_difference; 100 "
            "for APGD, FAB, NES, SPSA and neighbor_guided).",
        ),
        "search": flags.DEFINE_bool(
            "search",
            False,
            "Search for the smallest epsilon that fools each image, as in "
            "Table 2 of the paper. --epsilon is the largest one tried. Without "
            "--epsilon, that is the largest distance between two images: 1 in "
            "L-infinity, the square root of H W C in L2 (default: false).",
        ),
    }


def _define_fit() -> dict[str, flags.FlagHolder[Any]]:
    return {
        "maker": flags.DEFINE_enum(
            "maker",
            None,
            _FITTED,
            "How a universal perturbation is fitted. deepfool: the algorithm "
            "of Moosavi-Dezfooli et al., as in the paper, on batches. "
            "sequential: as its authors published it, one image at a time and "
            "never clipped. gradient: projected gradient ascent on the mean "
            "loss (default: deepfool).",
        ),
        "train_size": flags.DEFINE_integer(
            "train_size",
            None,
            "Number of training images, the first ones, that fit a universal "
            "perturbation (default: 10000).",
            1,
        ),
        "perturbation": flags.DEFINE_string(
            "perturbation",
            None,
            "An .npy file with a universal perturbation of shape (H, W, C) to "
            "apply, or the record.json of an evaluation with "
            "--attack=universal --rho, whose perturbations are all applied, "
            "for instance to another model (default: one is fitted).",
        ),
    }
