"""The challenge's attack on a model, and what it leaves."""

import hashlib
import json
import os
from typing import Any

import keras

from madry_challenge.config import LOSSES, Config
from peernets_tf import data, evaluation, peers, results
from peernets_tf.attacks import PGD, surrogate


def attack_of(settings: Config) -> PGD:
    """Returns the attack of a configuration: PGD's last iterate.

    The original's CW loss stops at a margin of 50; this one goes on.

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


class Evaluation:
    """One attack on the first test images, which can be stopped and resumed.

    The model is in inference mode; a PeerNet's predictions and the attack
    follow the same graphs, those stored in it.

    Args:
        folder: str, where what was done is kept, in a file of this evaluation;
            made if it is not there.
        model: a Keras model from images in [0, 1] to logits.
        dataset: the `Dataset`.
        settings: the `Config`: the attack, `num_eval_examples`,
            `eval_batch_size`, `tf_random_seed`.
        graphs: dict, what `peernets_tf.threat_model.set_graphs` returned.
        environment: dict, `peernets_tf.results.environment()`.
        backward: the gradient of PeerRegularization layers that the attack
            follows, see `peernets_tf.attacks.surrogate`.

    Attributes:
        identity: dict, all that the figures depend on.
        path: str, the file without its ending.
        environment: dict, the code and machine that began it.

    Raises:
        ValueError: if the attack has no steps, or the model does not fit the
            data set.
    """

    def __init__(
        self,
        folder: str,
        model: keras.Model,
        dataset: data.Dataset,
        settings: Config,
        graphs: dict[str, Any],
        environment: dict[str, Any],
        *,
        backward: str = "exact",
    ) -> None:
        evaluation.check_fits(model, dataset)
        self._attack = attack_of(settings)
        # Drawn graphs are known by their seed: their features, made anew, may
        # differ in the last bit.
        stored = bool(graphs) and graphs["judged"]["seed"] is None
        self.identity = {
            "weights_sha256": results.weights_sha256(model, with_peers=stored),
            "peers": graphs,
            "dataset": dataset.name,
            "dataset_sha256": data.fingerprint(dataset.name),
            "num_eval_examples": settings.num_eval_examples,
            "eval_batch_size": settings.eval_batch_size,
            "seed": settings.tf_random_seed,
            "attack": repr(self._attack),
            "backward": backward,
        }
        digest = hashlib.sha256(json.dumps(self.identity).encode()).hexdigest()
        os.makedirs(folder, exist_ok=True)
        self.path = os.path.join(folder, f"attack_{backward}_{digest[:8]}")
        self._log = evaluation.BatchLog(
            f"{self.path}.jsonl", self.identity, environment
        )
        self.environment = self._log.environment
        judge = peers.monte_carlo(model)
        self._target = evaluation.Target(
            judge=judge,
            attacked=surrogate(judge, backward),
            test=dataset.test.first(settings.num_eval_examples),
            num_classes=dataset.num_classes,
            batch_size=settings.eval_batch_size,
            seed=settings.tf_random_seed,
        )

    def run(self) -> dict[str, Any]:
        """Attacks, and counts.

        Returns:
            A dict, a case of `peernets_tf.results.AttackResult`.

        Raises:
            AttackError: see `peernets_tf.evaluation.attack_images`.
        """
        print(f"{self._attack}", flush=True)
        clean = evaluation.clean_predictions(
            self._target, self._log, loss=self._attack.loss
        )
        counts = evaluation.attack_images(
            self._target,
            self._attack,
            clean,
            self._log,
            name="adversarial images",
            epsilon=self._attack.epsilon,
            norm=self._attack.norm,
        )
        return {
            "attack": repr(self._attack),
            "norm": self._attack.norm,
            "epsilon": self._attack.epsilon,
            "rho": None,
            **counts,
        }
