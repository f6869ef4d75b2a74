"""Which attack an evaluation runs, and at which strengths."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from peernets_tf import adaptive, attacks, datasets, files
from peernets_tf.errors import UserError
from peernets_tf.evaluation import universal
from peernets_tf.evaluation.strength import DEFAULT_EPSILON, Strength
from peernets_tf.plain_numbers import make_plain

_TRAIN_SIZE = 10_000
# Stands for an epsilon that is computed from training images, before they are
# read. It is so large that no `step_size` exceeds it.
_UNKNOWN_EPSILON = 1e30


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackConfig:
    """An attack and its strengths.

    Attributes:
        name: str, one of `adaptive.ATTACKS`.
        norm: `"linf"`, `"l2"` or None; None for the attack's default, and for
            `"l2"` with `rhos`.
        epsilons: tuple of floats, radii of the ball for images in [0, 1];
            empty for 8/255 in L-infinity and 0.5 in L2.
        rhos: tuple of floats, L2 radii as multiples of the mean L2 norm of the
            training images, instead of `epsilons`.
        rho_of: str, which x that mean norm is of, see
            `attacks.epsilon_from_rho`.
        steps: tuple of ints, numbers of gradient steps, each of which is tried
            at each radius; empty for the attack's default, or for the one in
            `options`.
        search: bool, whether to search each image's smallest epsilon that
            fools, up to the one in `epsilons`; empty for all of [0, 1].
        train_size: int or None, the training images that a universal
            perturbation is fitted to; None for the first 10,000.
        perturbation: str or None, the .npy file of `"universal.file"`, or the
            record of an evaluation, whose perturbations are all applied, see
            `universal.read_record`.
        options: mapping, other arguments of the attack by their names.

    Raises:
        UserError: if the attack does not read one of these, one is out of
            range, or two strengths have the same name.
    """

    name: str
    norm: str | None = None
    epsilons: tuple[float, ...] = ()
    rhos: tuple[float, ...] = ()
    rho_of: str = "unit"
    steps: tuple[int, ...] = ()
    search: bool = False
    train_size: int | None = None
    perturbation: str | None = None
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        make_plain(self)
        if self.name not in adaptive.ATTACKS:
            raise UserError(
                f"`name` must be one of {', '.join(adaptive.ATTACKS)}. "
                f"Received: {self.name}"
            )
        if self.search and not issubclass(
            self.attack_type, attacks.SearchableAttack
        ):
            raise UserError(
                f"{self.name} has no search for the smallest epsilon: leave "
                "out search, or choose gradient_descent, fgsm, pgd or apgd"
            )
        unread = self._unread()
        if unread:
            with_search = " with search" if self.search else ""
            raise UserError(
                f"{self.name}{with_search} does not read {unread[0]}: leave "
                "it out or choose another attack"
            )
        if self.is_file and not self.perturbation:
            raise UserError(f"{self.name} needs `perturbation`, an .npy file")
        if self.train_size is not None:
            attacks.checks.check_number(
                "train_size", self.train_size, smallest=1, is_count=True
            )
        if self.steps and "steps" in self.options:
            raise UserError(
                "steps must be given once, as `steps` or in `options`. "
                f"Received: steps={self.steps}, "
                f"options['steps']={self.options['steps']}"
            )
        if self.search and len(self.epsilons) > 1:
            raise UserError(
                "search takes at most one epsilon, the largest. Received: "
                f"{self.epsilons}"
            )
        for epsilon in self.epsilons:
            attacks.checks.check_radius(epsilon, self.resolved_norm)
        for rho in self.rhos:
            attacks.checks.check_radius(rho, "l2", name="rho")
        if self.rhos and (self.epsilons or self.norm == "linf"):
            raise UserError(
                "rho is an L2 radius: give it without epsilon and without "
                f"norm=linf. Received: epsilon={self.epsilons}, "
                f"norm={self.norm}"
            )
        attacks.check_rho_of(self.rho_of)
        if self.rho_of != "unit" and not self.rhos:
            raise UserError(
                f"rho_of needs rho, whose mean norm it names. Received: "
                f"rho_of={self.rho_of}"
            )
        if self.perturbation:
            files.check_exists(self.perturbation, "perturbation")
        else:
            # Checks the attack before Keras and the data set are loaded.
            _plan(self, None)

    @classmethod
    def of(cls, attack: attacks.Attack) -> Self:
        """Returns the configuration of one attack as it is.

        Raises:
            UserError: if a field that has no command-line flag differs from its
                default, or has none.
        """
        for field in dataclasses.fields(attack):
            value = getattr(attack, field.name)
            if field.name in attack.internal and value is not field.default:
                if field.default is dataclasses.MISSING:
                    raise UserError(
                        f"{attack.name} cannot be configured: give its file as "
                        "`perturbation`"
                    )
                if value != field.default:
                    raise UserError(
                        f"`{field.name}` of {attack.name} must be "
                        f"{field.default}, its default, because it has no "
                        f"command-line flag. Received: {value}"
                    )
        options = {name: getattr(attack, name) for name in attack.options()}
        epsilon = options.pop("epsilon", None)
        return cls(
            name=attack.name,
            norm=options.pop("norm", None),
            epsilons=() if epsilon is None else (epsilon,),
            options=options,
        )

    @property
    def attack_type(self) -> type[attacks.Attack]:
        """The class of the attack."""
        return adaptive.ATTACKS[self.name]

    @property
    def resolved_norm(self) -> str:
        """`norm`, or the default that stands for None."""
        # On the abstract class a property, on that of an attack a value.
        default = "l2" if self.rhos else cast(str, self.attack_type.norm)
        return self.norm or default

    @property
    def is_file(self) -> bool:
        """Whether the attack applies a perturbation from a file."""
        return issubclass(self.attack_type, attacks.FixedPerturbation)

    @property
    def is_fitted(self) -> bool:
        """Whether the attack is fitted to training images first."""
        return issubclass(self.attack_type, attacks.UniversalAttack)

    def training_images(self, dataset: datasets.Dataset) -> datasets.Split:
        """Returns the training images that an attack uses.

        A universal perturbation is fitted to them, and principal components
        are computed from them.
        """
        return dataset.train.first(self.train_size or _TRAIN_SIZE)

    def _unread(self) -> list[str]:
        """Returns the names of what is given but not read."""
        known = set(self.attack_type.options())
        if self.search:
            # With a search, `epsilons` holds the largest epsilon.
            known -= attacks.SmallestEpsilon.sets - {"epsilon"}
        has_epsilon = "epsilon" in known
        rules = {
            "norm": (self.norm, "norm" in known),
            "epsilon": (self.epsilons, has_epsilon),
            "rho": (self.rhos, has_epsilon and not self.search),
            "steps": (self.steps, "steps" in known),
            "train_size": (self.train_size, self.is_fitted),
            "perturbation": (self.perturbation, self.is_file),
        }
        return [
            *(name for name in self.options if name not in known),
            *(
                name
                for name, (value, read) in rules.items()
                if value and not read
            ),
        ]


def plan(
    config: AttackConfig, dataset: datasets.Dataset
) -> list[tuple[Strength, attacks.Attack]]:
    """Returns the attacks of a configuration, each with its strength.

    Raises:
        UserError: if the attack cannot run here, or a perturbation's file
            cannot be read.
    """
    if config.perturbation:
        return _read(config, dataset.test.images.shape[1:])
    planned = _plan(config, dataset.train.images)
    count = config.options.get("num_components")
    if count:
        attacks.directions.check_components(
            count, config.training_images(dataset).images.shape
        )
    for _, attack in planned:
        attack.check_available()
    return planned


def _read(
    config: AttackConfig, shape: tuple[int, ...]
) -> list[tuple[Strength, attacks.Attack]]:
    """Returns the perturbations of a file or a record, as attacks."""
    assert config.perturbation is not None
    if config.perturbation.endswith(".json"):
        if config.norm or "clip" in config.options:
            raise UserError(
                "norm and clip are those of the record: leave them out. "
                f"Received: perturbation={config.perturbation}"
            )
        return [
            (
                Strength(
                    norm=case.norm,
                    epsilon=case.epsilon,
                    rho=case.rho,
                    rho_of=case.rho_of,
                    clip=case.clip,
                ),
                fixed,
            )
            for case, fixed in universal.read_record(config.perturbation, shape)
        ]
    norm = config.resolved_norm
    fixed = dataclasses.replace(
        universal.read(config.perturbation, shape, norm),
        clip=config.options.get("clip", True),
    )
    strength = Strength(norm=norm, epsilon=fixed.epsilon, clip=fixed.clip)
    return [(strength, fixed)]


def _plan(
    config: AttackConfig, images: NDArray[np.float32] | None
) -> list[tuple[Strength, attacks.Attack]]:
    """Returns the attacks that need no file; see `plan`.

    Args:
        config: the `AttackConfig`.
        images: the training images. None, before they are read: radii that
            depend on them are stand-ins.
    """
    # A single number of steps is part of no name: it tells nothing apart.
    is_named = len(config.steps) > 1
    planned = []
    for strength in _strengths(config, config.resolved_norm, images):
        for steps in config.steps or (None,):
            attack = _attack(config, strength, steps, images)
            named = dataclasses.replace(
                strength, clip=attack.clip, steps=steps if is_named else None
            )
            planned.append((named, attack))
    names = [strength.name for strength, _ in planned]
    if len(set(names)) < len(names):
        raise UserError(
            "strengths must differ, radii in their first six digits. Received: "
            f"{', '.join(names)}"
        )
    return planned


def _strengths(
    config: AttackConfig, norm: str, images: NDArray[np.float32] | None
) -> list[Strength]:
    if config.search or "epsilon" not in config.attack_type.options():
        return [Strength(norm=norm)]
    if config.rhos:
        return [
            Strength(
                norm=norm,
                epsilon=_UNKNOWN_EPSILON
                if images is None
                else attacks.epsilon_from_rho(images, rho, config.rho_of),
                rho=rho,
                rho_of=config.rho_of,
            )
            for rho in config.rhos
        ]
    epsilons = config.epsilons or (DEFAULT_EPSILON[norm],)
    return [Strength(norm=norm, epsilon=epsilon) for epsilon in epsilons]


def _attack(
    config: AttackConfig,
    strength: Strength,
    steps: int | None,
    images: NDArray[np.float32] | None,
) -> attacks.Attack:
    options = dict(config.options)
    if steps is not None:
        options["steps"] = steps
    if "norm" in config.attack_type.options():
        options["norm"] = strength.norm
    if config.search:
        return attacks.SmallestEpsilon.over(
            config.attack_type,
            largest_epsilon=config.epsilons[0] if config.epsilons else None,
            image_shape=(1, 1, 1) if images is None else images.shape[1:],
            **options,
        )
    if strength.epsilon is not None:
        options["epsilon"] = strength.epsilon
    return config.attack_type(**options)
