"""Robust accuracy of a model under a suite of attacks, as one function."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from peernets_tf import datasets
from peernets_tf.attacks import checks
from peernets_tf.errors import UserError, naming
from peernets_tf.evaluation.batch_log import BatchLog
from peernets_tf.evaluation.config import check_graphs, check_range
from peernets_tf.evaluation.suite_config import SuiteConfig
from peernets_tf.evaluation.suite_loop import run_suite
from peernets_tf.evaluation.threat_model import (
    ChosenGraphs,
    GraphsConfig,
    choose_graphs,
)
from peernets_tf.evaluation.worst_case import RobustAccuracy
from peernets_tf.peers import averaged_model
from peernets_tf.types import LogitsFunction


def robust_accuracy(
    model: keras.Model | LogitsFunction,
    images: NDArray[Any],
    labels: NDArray[Any],
    *,
    norm: str = "linf",
    epsilon: float | None = None,
    suite: str = "autoattack",
    budget: float = 1.0,
    seed: int = 0,
    batch_size: int = 100,
    backward: str = "exact",
    rejected_as: str | None = None,
    graphs: GraphsConfig | None = None,
    train_images: NDArray[Any] | None = None,
    train_labels: NDArray[Any] | None = None,
    transfer_model: keras.Model | LogitsFunction | None = None,
) -> RobustAccuracy:
    """Attacks a model with a suite of attacks, and checks the evaluation.

    The robust accuracy of the result is an upper bound: another attack may
    lower it. Its checks say how far to trust it.

    If the outputs are probabilities, attacks follow their logarithm, which is a
    vector of logits as far as no probability was rounded to 0 or 1, or is below
    1e-4 in float16; the check of the outputs fails. If the forward pass is
    random, a prediction is the class of the mean logits of 20 calls; the check
    of randomness fails unless the attacks of the suite average, too.

    Args:
        model: any Keras model, or function, from images `(B, H, W, C)` in
            [0, 1] to logits `(B, classes)`. Of a model with PeerRegularization
            layers, predictions average over the graphs of peers.
        images: float array of shape `(N, H, W, C)` in [0, 1].
        labels: int array of shape `(N,)` or `(N, 1)`, the true classes.
        norm: `"linf"` or `"l2"`.
        epsilon: float, the radius of the ball for images in [0, 1]; None for
            8/255 in L-infinity and 0.5 in L2.
        suite: `"autoattack"`, the standard version of AutoAttack; `"rand"`, its
            version for models with a random forward pass; `"adaptive"`, which
            adds attacks on peers; or `"table7"` or `"table7_groups"`, the
            attacks of the paper's Table 7.
        budget: float, the factor of all steps, restarts, queries and samples,
            except those of the large ball.
        seed: int, the seed of everything drawn.
        batch_size: int, images attacked at once.
        backward: `"exact"`, `"identity"` or `"soft"`, the backward pass of
            PeerRegularization layers, or of what else hides a gradient. The
            suites `"adaptive"` and `"table7"` choose it themselves.
        rejected_as: `"wrong"`, `"right"` or None, what a rejected adversarial
            image counts as. The model's last logit is then that of rejection,
            and labels are among the classes before it. A rejected unperturbed
            image always counts as wrong.
        graphs: the `evaluation.GraphsConfig`: which graphs of peers
            predictions use, and what the attacker knows of them; None for the
            stored graphs, which the attacker knows.
        train_images: float array of shape `(N', H, W, C)`, from which graphs
            are drawn; needed if `graphs` asks for new ones.
        train_labels: int array of shape `(N',)`, their classes, or None.
            `"adaptive"` pulls pixels towards peers of another class only if
            they are given and `graphs` draws peers: stored graphs have no
            classes.
        transfer_model: another model, with logits, or None. `"adaptive"` also
            makes images on it, and shows them to `model`.

    Returns:
        A `RobustAccuracy`. `print` shows its tables.

    Raises:
        UserError: if an argument is out of range, `graphs` does not fit the
            model, a model takes numbers far above 1, or a function or Lambda
            layer runs PeerRegularization layers.
        AttackError: if images lie outside [0, 1], labels are not classes of the
            model, logits or gradients are not finite, a Keras model ends in a
            sigmoid or tanh, or the outputs of `transfer_model` are
            probabilities.
    """
    config = SuiteConfig(
        suite=suite,
        norm=norm,
        epsilon=epsilon,
        budget=budget,
        backward=backward,
        rejected_as=rejected_as,
        graphs=graphs or GraphsConfig(),
        batch_size=batch_size,
        seed=seed,
        output_dir="",
    )
    if transfer_model is not None and suite != "adaptive":
        raise UserError(
            "`transfer_model` is for suite='adaptive'. Received: "
            f"suite={suite!r}; leave transfer_model out"
        )
    chosen = None
    if not isinstance(model, keras.Model) and (
        backward != "exact" or config.graphs != GraphsConfig()
    ):
        raise UserError(
            "`backward` and `graphs` must be the defaults for a function: give "
            "a Keras model instead of a function. "
            f"Received: backward={backward}, graphs={graphs}"
        )
    if isinstance(model, keras.Model):
        _check_model(model)
        chosen = _chosen_graphs(model, config, train_images, train_labels)
    if isinstance(transfer_model, keras.Model):
        with naming("transfer_model"):
            _check_model(transfer_model)
    images = np.asarray(images, np.float32)
    checks.check_images(images)
    test = datasets.Split(
        images=images, labels=checks.checked_labels(labels, len(images), None)
    )
    with tempfile.TemporaryDirectory() as folder:
        log = BatchLog(os.path.join(folder, "batches.jsonl"))
        return run_suite(
            model,
            test,
            config,
            graphs=chosen,
            log=log,
            transfer_model=transfer_model,
        )


def _check_model(model: keras.Model) -> None:
    """Refuses a Keras model that no suite can attack."""
    check_range(model)
    # The suites attack the logarithm of a softmax.
    checks.check_ends_in_logits(averaged_model(model), allow_softmax=True)


def _chosen_graphs(
    model: keras.Model,
    config: SuiteConfig,
    images: NDArray[Any] | None,
    labels: NDArray[Any] | None,
) -> ChosenGraphs | None:
    """Returns the graphs of a model, None for a model without peers."""
    record = check_graphs(
        model, config.graphs, config.backward, seed=config.seed
    )
    if record is None:
        return None
    is_drawn = (record.defended.seed, record.attacker.seed) != (None, None)
    if images is None and is_drawn:
        raise UserError(
            "`train_images` must be the images from which graphs of peers are "
            f"drawn. Received: None, with graphs={config.graphs}"
        )
    if images is None and labels is not None:
        raise UserError(
            "`train_labels` must be the classes of `train_images`. Received: "
            "train_labels without train_images; give both or neither"
        )
    if images is None:
        images = np.zeros(0)
    else:
        images = np.asarray(images, np.float32)
        with naming("train_images"):
            checks.check_images(images)
    if labels is not None:
        with naming("train_labels"):
            labels = checks.checked_labels(labels, len(images), None)
    with naming("train_images"):
        return choose_graphs(
            model, images, config.graphs, seed=config.seed, labels=labels
        )
