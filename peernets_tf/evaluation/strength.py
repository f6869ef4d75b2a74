"""The ball that adversarial images lie in."""

import dataclasses

# The radius of the ball by default, for images in [0, 1].
DEFAULT_EPSILON = {"linf": 8 / 255, "l2": 0.5}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strength:
    """The ball that adversarial images lie in.

    Attributes:
        norm: `"linf"` or `"l2"`.
        epsilon: float or None, the radius for images in [0, 1]; None if the
            attack has none or its smallest radius is searched.
        rho: float or None, epsilon over the mean L2 norm of training images.
        rho_of: str, the reading of x in the mean norm E‖x‖₂, one of
            `attacks.RHO_READINGS`; not used if `rho` is None.
        clip: bool, whether the images lie in [0, 1], too.
        steps: int or None, the number of gradient steps if an evaluation tries
            several; None if all its attacks take as many.
    """

    norm: str
    epsilon: float | None = None
    rho: float | None = None
    rho_of: str = "unit"
    clip: bool = True
    steps: int | None = None

    @property
    def name(self) -> str:
        """What files and rows of this strength are called."""
        if self.steps is not None:
            return f"{self._ball}_{self.steps}_steps"
        return self._ball

    @property
    def _ball(self) -> str:
        if self.rho is not None:
            return f"rho_{self.rho:g}"
        if self.epsilon is None:
            return f"{self.norm}_smallest"
        return f"{self.norm}_{self.epsilon:g}"
