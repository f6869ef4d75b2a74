"""Suites: which attacks run, in which order, and on which images.

`autoattack` and `rand` are the standard and the randomised version of Croce and
Hein (2020), *Reliable Evaluation of Adversarial Robustness with an Ensemble of
Diverse Parameter-free Attacks*. `adaptive` adds attacks that know peers, and
goes from cheap attacks to expensive ones. `table7` and `table7_groups` are the
attacks of the paper's Table 7.
"""

import dataclasses

from peernets_tf.evaluation.suite_step import Step, Traits

# What a check looks for among the steps.
NOISE = "noise"
SINGLE_STEP = "single-step"
ITERATIVE = "iterative"
BPDA = "bpda"
MORE = "more"
# No check looks for these: they attack all images for a table.
ROW = "row of a table"

# The widths of the differences of `table7`, on the 0-255 pixel scale. A narrow
# one only measures the gradient once more, even if it is masked.
TABLE_7_DELTAS = (0.01, 1, 4, 8)

_NOISE = Step(
    name="noise",
    attack="noise",
    access="nothing",
    role=NOISE,
    only_survivors=False,
)
_FGSM = Step(name="fgsm", attack="fgsm", role=SINGLE_STEP, only_survivors=False)
_SQUARE = Step(
    name="square",
    attack="square",
    options={"queries": 5000, "rescale_schedule": False},
    access="black-box",
)
_NES = Step(
    name="nes",
    attack="nes",
    options={"steps": 100, "samples": 100, "delta": 8 / 255},
    access="black-box",
)
_SPSA = Step(
    name="spsa",
    attack="spsa",
    options={"steps": 100, "samples": 128},
    access="black-box",
)
_LARGE_BALL = Step(
    name="large-ball",
    attack="pgd",
    # A random start in this ball is a random image, which fools by itself.
    options={"steps": 100, "random_start": False},
    only_survivors=False,
    is_counted=False,
    in_large_ball=True,
)

_APGD_CE = Step(
    name="apgd-ce",
    attack="apgd",
    options={"steps": 100, "restarts": 1, "loss": "cross_entropy"},
)
_APGD_DLR = Step(
    name="apgd-dlr",
    attack="apgd",
    options={"steps": 100, "restarts": 1, "loss": "dlr"},
    min_classes=3,
)
_APGD_T = Step(
    name="apgd-t",
    attack="apgd",
    options={"steps": 100, "restarts": 1, "loss": "dlr", "num_targets": 9},
    min_classes=4,
)
_FAB_T = Step(
    name="fab-t",
    attack="fab",
    options={"steps": 100, "restarts": 1, "num_targets": 9},
)


def _probes(iterative: Step) -> tuple[Step, ...]:
    """Returns what the checklist of AutoAttack needs beside its attacks.

    Args:
        iterative: the attack that comes first in the suite.
    """
    return (
        _NOISE.variant(is_counted=False),
        _FGSM.variant(is_counted=False),
        iterative.variant(
            "-identity",
            backward="identity",
            role=BPDA,
            needs="has_bpda",
            is_counted=False,
        ),
        iterative.variant(
            "-more",
            options={"steps": 200, "restarts": 2},
            role=MORE,
            only_survivors=True,
            is_counted=False,
        ),
        _LARGE_BALL,
    )


_FIRST = _APGD_CE.variant(role=ITERATIVE, only_survivors=False)
_AUTOATTACK = (_FIRST, _APGD_T, _FAB_T, _SQUARE, *_probes(_FIRST))
_AVERAGED = _FIRST.variant(options={"expectation": 20})
_RAND = (
    _AVERAGED,
    _APGD_DLR.variant(options={"expectation": 20}),
    *_probes(_AVERAGED),
)
_ADAPTIVE = (
    _NOISE,
    _FGSM,
    Step(
        name="pgd",
        attack="pgd",
        options={"steps": 40},
        backward="exact",
        role=ITERATIVE,
        only_survivors=False,
    ),
    Step(
        name="pgd-identity",
        attack="pgd",
        options={"steps": 40},
        backward="identity",
        role=BPDA,
        only_survivors=False,
        needs="has_bpda",
    ),
    Step(
        name="pgd-identity-margin",
        attack="pgd",
        options={"steps": 200, "restarts": 5, "loss": "margin"},
        backward="identity",
        needs="has_bpda",
    ),
    Step(
        name="pgd-soft-margin",
        attack="pgd",
        options={"steps": 40, "restarts": 2, "loss": "margin"},
        backward="soft",
        needs="has_peers",
    ),
    Step(
        name="pgd-identity-graphs",
        attack="pgd",
        options={"steps": 200, "restarts": 1, "loss": "margin"},
        backward="identity",
        needs="guesses_graphs",
        redraws_graphs=True,
    ),
    Step(
        name="neighbor-guided",
        attack="neighbor_guided",
        options={"steps": 100, "restarts": 3},
        backward="identity",
        needs="has_guides",
    ),
    _APGD_CE.variant("-identity", backward="identity", needs="has_bpda"),
    _APGD_DLR.variant("-identity", backward="identity", needs="has_bpda"),
    _APGD_CE.variant(backward="exact"),
    _APGD_DLR.variant(backward="exact"),
    _APGD_CE.variant(
        "-expectation",
        options={"expectation": 20},
        backward="exact",
        needs="is_random",
    ),
    _APGD_DLR.variant(
        "-expectation",
        options={"expectation": 20},
        backward="exact",
        needs="is_random",
    ),
    Step(
        name="pgd-margin",
        attack="pgd",
        options={"steps": 200, "restarts": 5, "loss": "margin"},
        backward="exact",
    ),
    _SQUARE,
    _NES,
    _SPSA,
    Step(
        name="transfer",
        attack="pgd",
        options={"steps": 40},
        access="transfer",
        # The exact gradient of the other model may be masked.
        backward="identity",
        needs="has_transfer_model",
    ),
    Step(
        name="pgd-margin-more",
        attack="pgd",
        options={"steps": 400, "restarts": 10, "loss": "margin"},
        backward="exact",
        role=MORE,
    ),
    _LARGE_BALL,
    _LARGE_BALL.variant("-identity", backward="identity", needs="has_bpda"),
)


def _table_7(num_groups: int) -> tuple[Step, ...]:
    """Returns the attacks of Table 7, each with several widths of differences.

    Args:
        num_groups: int, the random groups of coordinates that share a slope; 0
            for a slope for each coordinate.
    """
    white, bpda, black = [], [], []
    for kind, pixels, roles in (
        ("single", 8, (SINGLE_STEP, ROW)),
        ("iterative", 0.5, (ROW, ROW)),
        ("iterative", 8, (ITERATIVE, BPDA)),
        ("iterative", 12, (ROW, ROW)),
    ):
        # The suite's own radius is 8/255: its worst case is there.
        row = Step(
            name=f"{kind}-{pixels:g}",
            attack="fgsm",
            options={"loss": "margin"},
            role=roles[0],
            only_survivors=False,
            is_counted=pixels == 8,
            epsilon=pixels / 255,
        )
        steps = {"steps": 10} if kind == "iterative" else {}
        if steps:
            start = {"random_start": False}
            row = row.variant(attack="pgd", options={**steps, **start})
        white.append(row)
        bpda.append(
            row.variant(
                "-identity",
                backward="identity",
                role=roles[1],
                needs="has_bpda",
            )
        )
        for delta in TABLE_7_DELTAS:
            differences = {"delta": delta / 255, "num_groups": num_groups}
            black.append(
                dataclasses.replace(
                    row,
                    name=f"{row.name}-delta-{delta:g}",
                    attack="finite_difference",
                    options={"loss": "margin", **steps, **differences},
                    access="black-box",
                    role=ROW,
                )
            )
    return (*white, *bpda, *black)


SUITES: dict[str, tuple[Step, ...]] = {
    "autoattack": _AUTOATTACK,
    "rand": _RAND,
    "adaptive": _ADAPTIVE,
    "table7": _table_7(num_groups=0),
    # Groups of 8 coordinates, as Bhagoji et al. have on CIFAR-10.
    "table7_groups": _table_7(num_groups=384),
}


def steps_of(
    suite: str, traits: Traits, backward: str = "exact"
) -> tuple[Step, ...]:
    """Returns the steps of a suite that run on a model, in their order.

    A step for the check of BPDA is left out if it would repeat the first
    iterative attack.

    Args:
        suite: str, one of `SUITES`.
        traits: the model's `Traits`.
        backward: str, one of `adaptive.BACKWARDS`, the backward pass of the
            steps that name none.
    """
    steps = [
        dataclasses.replace(step, backward=step.backward or backward)
        for step in SUITES[suite]
        if step.fits(traits)
    ]
    followed = [s.backward for s in steps if s.role == ITERATIVE]
    return tuple(
        step
        for step in steps
        if step.role != BPDA or step.backward not in followed
    )
