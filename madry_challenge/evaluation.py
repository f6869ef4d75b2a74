"""The challenge's attack on a model, and what it leaves."""

from typing import Any

import keras

from madry_challenge.config import LOSSES, Config
from peernets_tf import data, evaluation, peers, results
from peernets_tf.attacks import PGD, surrogate


def attack_of(settings: Config) -> PGD:
    """Returns the attack of a configuration: PGD's last iterate.

    Raises:
        ValueError: if it has no steps.
    """
    return PGD(
        epsilon=settings.epsilon / 255,
        steps=settings.num_steps,
        step_size=settings.step_size / 255,
        loss=LOSSES[settings.loss_func],
        random_start=settings.random_start,
        keep_best=False,
    )


def open_log(
    path: str,
    model: keras.Model,
    dataset: data.Dataset,
    settings: Config,
    environment: dict[str, Any],
    *,
    backward: str = "exact",
) -> evaluation.BatchLog:
    """Returns the file in which `measure` finds what was done before.

    Args:
        path: str, the file, made if it is not there.
        model: see `measure`, with its graphs.
        dataset: see `measure`.
        settings: see `measure`.
        environment: dict, `peernets_tf.results.environment()`.
        backward: see `measure`.

    Raises:
        AttackError: if the file is of another evaluation.
        ValueError: if the attack has no steps.
    """
    identity = {
        "weights_sha256": results.weights_sha256(model),
        "dataset": dataset.name,
        "dataset_sha256": data.fingerprint(dataset.name),
        "num_eval_examples": settings.num_eval_examples,
        "eval_batch_size": settings.eval_batch_size,
        "seed": settings.tf_random_seed,
        "attack": repr(attack_of(settings)),
        "backward": backward,
    }
    return evaluation.BatchLog(path, identity, environment)


def measure(
    model: keras.Model,
    dataset: data.Dataset,
    settings: Config,
    log: evaluation.BatchLog,
    *,
    backward: str = "exact",
) -> dict[str, Any]:
    """Attacks the first test images, and counts.

    The model is in inference mode, and a PeerNet's predictions and the attack
    follow the same graphs, those stored in it.

    Args:
        model: a Keras model from images in [0, 1] to logits.
        dataset: the `Dataset`.
        settings: the `Config`: the attack, `num_eval_examples`,
            `eval_batch_size`, `tf_random_seed`.
        log: the `BatchLog`, from `open_log`.
        backward: the gradient of PeerRegularization layers that the attack
            follows, see `peernets_tf.attacks.surrogate`.

    Returns:
        A dict, a case of `peernets_tf.results.AttackResult`.

    Raises:
        AttackError: see `peernets_tf.evaluation.attack_images`.
        ValueError: if the attack has no steps.
    """
    attack = attack_of(settings)
    judge = peers.monte_carlo(model)
    target = evaluation.Target(
        judge=judge,
        attacked=surrogate(judge, backward),
        test=dataset.test.first(settings.num_eval_examples),
        num_classes=dataset.num_classes,
        batch_size=settings.eval_batch_size,
        seed=settings.tf_random_seed,
    )
    clean = evaluation.clean_predictions(target, log, loss=attack.loss)
    counts = evaluation.attack_images(
        target,
        attack,
        clean,
        log,
        name="attacked",
        epsilon=attack.epsilon,
        norm=attack.norm,
    )
    return {
        "attack": repr(attack),
        "norm": attack.norm,
        "epsilon": attack.epsilon,
        "rho": None,
        **counts,
    }
