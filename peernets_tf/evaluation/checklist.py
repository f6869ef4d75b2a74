"""Checks of an evaluation, each of which can fail.

A defence can withstand attacks because it hides its gradient, not because it is
robust. These checks look for the symptoms that Athalye, Carlini and Wagner
(2018), *Obfuscated Gradients Give a False Sense of Security*, and Carlini et
al. (2019), *On Evaluating Adversarial Robustness*, list, and for the flags of
Croce and Hein's AutoAttack.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from peernets_tf.evaluation import suites
from peernets_tf.evaluation.suite_step import Step
from peernets_tf.records import Check

# The share of the images that a black box may fool beyond white-box attacks:
# that of AutoAttack's own flag.
_BLACK_BOX_SHARE = 0.002
# The share of the images by which two attacks of one kind may differ.
_LITTLE = 0.01


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What one step did.

    Attributes:
        step: the `Step`, with the backward pass that it followed.
        attack: str, the attack with all its settings.
        epsilon: float, the radius of the ball.
        attacked: bool array of shape `(N,)`, the images attacked.
        fooled: bool array of shape `(N,)`, those classified wrongly after it.
        queries: int, images whose logits the attack computed.
        stops_early: bool, whether the attack stopped at images that fool the
            attacker's model, which need not fool the defended one.
    """

    step: Step
    attack: str
    epsilon: float
    attacked: NDArray[np.bool_]
    fooled: NDArray[np.bool_]
    queries: int
    stops_early: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What the checks read.

    Attributes:
        correct: bool array of shape `(N,)`, the images classified correctly
            before the attacks.
        outcomes: tuple of `Outcome`s, in the order of the steps.
        zero_gradients: int, images at which the gradient of the cross-entropy
            is exactly zero.
        are_probabilities: bool, whether the model's outputs are probabilities.
        variation: float, the largest difference between the logits of two calls
            with the same images, relative to the largest logit.
    """

    correct: NDArray[np.bool_]
    outcomes: tuple[Outcome, ...]
    zero_gradients: int
    are_probabilities: bool
    variation: float

    def outcome(self, role: str) -> Outcome | None:
        """Returns the first outcome of a step with that role, or None."""
        found = (o for o in self.outcomes if o.step.role == role)
        return next(found, None)


# A verdict and what was measured; None if the check does not concern the model.
_Answer = tuple[str, str] | None


def checklist(evidence: Evidence) -> tuple[Check, ...]:
    """Returns the checks of an evaluation.

    Args:
        evidence: the `Evidence`.
    """
    answers = {name: check(evidence) for name, check in _CHECKS.items()}
    return tuple(
        Check(name=name, verdict=answer[0], measured=answer[1])
        for name, answer in answers.items()
        if answer is not None
    )


def _outputs_are_logits(evidence: Evidence) -> _Answer:
    if evidence.are_probabilities:
        return "failed", "probabilities; their logarithm is attacked"
    return "passed", "the outputs are not probabilities"


def _randomness(evidence: Evidence) -> _Answer:
    if evidence.variation == 0:
        return "passed", "two calls give the same logits"
    measured = f"two calls differ by {evidence.variation:.1%}"
    averaging = [
        outcome
        for outcome in evidence.outcomes
        if outcome.step.options.get("expectation", 1) > 1
    ]
    if not averaging:
        return "failed", f"{measured}; attacks do not average"
    if not any(outcome.attacked.any() for outcome in averaging):
        return (
            "not measured",
            f"{measured}; no image was left for attacks that average",
        )
    return "passed", f"{measured}; attacks average"


def _gradient_is_not_zero(evidence: Evidence) -> _Answer:
    zeros, total = evidence.zero_gradients, len(evidence.correct)
    return _verdict(zeros == 0), f"it is at {zeros} of {total} images"


def _iterative_beats_single_step(evidence: Evidence) -> _Answer:
    single = evidence.outcome(suites.SINGLE_STEP)
    iterative = evidence.outcome(suites.ITERATIVE)
    if single is None or iterative is None:
        return "not measured", "the suite lacks one of them"
    few, many = _count(single), _count(iterative)
    measured = f"fooled: {many} by many steps, {few} by one"
    if few == many == 0:
        return "not measured", measured
    return _verdict(many >= few), measured


def _white_box_beats_black_box(evidence: Evidence) -> _Answer:
    """Compares with the backward pass of the suite's first iterative attack.

    If that is the exact one, BPDA would hide that it is masked. In most suites
    a black box attacks only what all white-box attacks left.
    """
    without_gradient = _of_access(evidence, "black-box", "transfer")
    if not without_gradient:
        return "not measured", "no black box and no transfer ran"
    iterative = evidence.outcome(suites.ITERATIVE)
    by_gradient = _union(
        [
            outcome
            for outcome in _of_access(evidence, "white-box")
            if iterative is None
            or outcome.step.backward == iterative.step.backward
        ],
        evidence,
    )
    attacked = int(np.any([o.attacked for o in without_gradient], axis=0).sum())
    if not attacked:
        return "not measured", "no image was left for a black box"
    found = _union(without_gradient, evidence) & ~by_gradient
    more = int(found.sum())
    measured = f"{more} of {attacked} images are fooled by the latter only"
    if more > _BLACK_BOX_SHARE * len(found):
        return "failed", measured
    if any(o.stops_early for o in without_gradient):
        return "not measured", f"{measured}, but a black box stopped early"
    return "passed", measured


def _noise_is_weakest(evidence: Evidence) -> _Answer:
    noise = evidence.outcome(suites.NOISE)
    roles = (suites.SINGLE_STEP, suites.ITERATIVE)
    others = [o for o in map(evidence.outcome, roles) if o is not None]
    if noise is None or not others:
        return "not measured", "the suite lacks noise or what to compare"
    weakest = min(map(_count, others))
    measured = f"fooled: {_count(noise)} by noise, {weakest} by the next"
    if max(map(_count, [noise, *others])) == 0:
        return "not measured", measured
    return _verdict(_count(noise) <= weakest), measured


def _more_changes_little(evidence: Evidence) -> _Answer:
    more = evidence.outcome(suites.MORE)
    if more is None:
        return "not measured", "no attack ran with more of them"
    attacked = int(more.attacked.sum())
    if not attacked:
        return "not measured", "no image was left for more of them"
    measured = f"they fool {_count(more)} of the {attacked} images left"
    return _verdict(_count(more) <= _LITTLE * len(more.fooled)), measured


def _large_ball_fools_all(evidence: Evidence) -> _Answer:
    """Each gradient must lead to all images: one that fails is masked."""
    found = [
        outcome
        for outcome in evidence.outcomes
        if outcome.step.in_large_ball and outcome.attacked.any()
    ]
    if not found:
        return "not measured", "no image was attacked in a large ball"
    left = [int((o.attacked & ~o.fooled).sum()) for o in found]
    measured = ", ".join(
        f"{number} of {outcome.attacked.sum()} ({outcome.step.backward})"
        for number, outcome in zip(left, found, strict=True)
    )
    return _verdict(not any(left)), f"left: {measured}"


def _exact_equals_bpda(evidence: Evidence) -> _Answer:
    bpda = evidence.outcome(suites.BPDA)
    exact = evidence.outcome(suites.ITERATIVE)
    if exact is None or exact.step.backward != "exact":
        if exact is None and bpda is None:
            return None
        return "not measured", "no attack follows the exact gradient"
    if bpda is None:
        return None
    measured = f"fooled: {_count(exact)} by exact, {_count(bpda)} by identity"
    difference = _count(bpda) - _count(exact)
    return _verdict(difference <= _LITTLE * len(exact.fooled)), measured


_CHECKS: dict[str, Callable[[Evidence], _Answer]] = {
    "outputs are logits": _outputs_are_logits,
    "attacks allow for randomness": _randomness,
    "no gradient is exactly zero": _gradient_is_not_zero,
    "iterative beats single-step": _iterative_beats_single_step,
    "white-box beats black-box and transfer": _white_box_beats_black_box,
    "random noise is weakest": _noise_is_weakest,
    "more steps and restarts change little": _more_changes_little,
    "a large enough ball fools all": _large_ball_fools_all,
    "exact gradient is as strong as BPDA": _exact_equals_bpda,
}


def _verdict(is_passed: bool | np.bool_) -> str:
    return "passed" if is_passed else "failed"


def _count(outcome: Outcome) -> int:
    return int(outcome.fooled.sum())


def _of_access(evidence: Evidence, *access: str) -> list[Outcome]:
    """Returns the outcomes of the steps that count and have such access."""
    return [
        outcome
        for outcome in evidence.outcomes
        if outcome.step.is_counted and outcome.step.access in access
    ]


def _union(outcomes: list[Outcome], evidence: Evidence) -> NDArray[np.bool_]:
    """Returns the images that any of these steps fooled."""
    nothing = np.zeros_like(evidence.correct)
    return np.any([nothing, *(o.fooled for o in outcomes)], axis=0)
