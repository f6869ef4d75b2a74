"""One training, from a network's name to `model.keras`."""

import dataclasses
import glob
import os
import re
from typing import Any

import keras

from madry_challenge import config, model, training
from peernets_tf import data, models, peers, results
from peernets_tf.checkpoint import Checkpoint

NETWORKS = (*model.FILTERS, *models.MODEL_NAMES)
# The graphs that a trained PeerNet keeps are drawn with this and the seed.
_GRAPHS = 3
# As many as the original keeps.
_MODELS_KEPT = 3
# Keys that do not change what is learnt, and those that do not if there is no
# attack.
_OTHER_KEYS = (
    "eval_batch_size",
    "model_dir",
    "num_eval_examples",
    "store_adv_path",
)
_ATTACK_KEYS = (
    "attack_mode",
    "backward",
    "epsilon",
    "loss_func",
    "random_start",
    "step_size",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How a network is trained, beside what config.json holds.

    Attributes:
        network: str, one of `NETWORKS`.
        attack_mode: `"train"` or `"eval"`, see `training.AdversarialTrainer`.
        backward: the gradient of PeerRegularization layers that the attack
            follows, see `peernets_tf.attacks.surrogate`.
        augment: bool, whether images are shifted and mirrored.
        num_peers: int, N, the images of a PeerNet's graph.
        num_graphs: int, M, the graphs that the trained PeerNet keeps.
        validation_size: int, the first test images used at each checkpoint.
        initial_model: str or None, a .keras file whose layers' weights the
            layers of the same name start from.
    """

    network: str
    attack_mode: str = "train"
    backward: str = "exact"
    augment: bool = True
    num_peers: int = 50
    num_graphs: int = 10
    validation_size: int = 1000
    initial_model: str | None = None


def train(
    options: Options,
    settings: config.Config,
    dataset: data.Dataset,
    environment: dict[str, Any],
) -> tuple[keras.Model, Checkpoint]:
    """Trains a network, going on from what `settings.model_dir` holds.

    There, `config.json` is the configuration, `model-STEP.keras` are the newest
    three checkpoints as models, and `model.keras` is the trained one, with its
    graphs if it is a PeerNet.

    Args:
        options: the `Options`.
        settings: the `Config`.
        dataset: the `Dataset`.
        environment: dict, `peernets_tf.results.environment()`.

    Returns:
        The trained Keras model from images in [0, 1] to logits, and the
        `peernets_tf.checkpoint.Checkpoint` with the training's history and
        environment.

    Raises:
        TrainingError: if the folder holds another run, cannot be written, or
            the loss is no number.
        ValueError: if an option is out of range.
    """
    seed = settings.tf_random_seed
    keras.utils.set_random_seed(seed)
    network = _build(options.network, settings.weight_decay, dataset, seed)
    initial_sha256 = None
    if options.initial_model is not None:
        initial = models.load(options.initial_model)
        models.copy_weights(initial, network)
        initial_sha256 = results.weights_sha256(initial, with_peers=False)
    trainer = training.AdversarialTrainer(
        network,
        settings,
        attack_mode=options.attack_mode,
        backward=options.backward,
        seed=seed,
    )
    os.makedirs(settings.model_dir, exist_ok=True)
    run_id = {
        "dataset": dataset.name,
        "dataset_sha256": data.fingerprint(dataset.name),
        **dataclasses.asdict(options),
        "initial_model": initial_sha256,
        **dataclasses.asdict(settings),
    }
    unread = _OTHER_KEYS if settings.num_steps else _OTHER_KEYS + _ATTACK_KEYS
    for key in unread:
        del run_id[key]
    checkpoint = Checkpoint(settings.model_dir, run_id, environment)
    training.fit(
        trainer,
        dataset,
        settings,
        checkpoint=checkpoint,
        seed=seed,
        augment=options.augment,
        num_peers=options.num_peers,
        validation_size=options.validation_size,
        callbacks=[_SaveModel(network, settings, checkpoint)],
    )
    if peers.peer_layers(network):
        graphs = peers.draw_peers(
            dataset.train.images,
            options.num_peers,
            options.num_graphs,
            seed=(_GRAPHS, seed),
        )
        peers.set_peers(network, graphs)
    with results.atomic_file(
        os.path.join(settings.model_dir, "model.keras")
    ) as path:
        network.save(path)
    return network, checkpoint


def newest_model(folder: str) -> str | None:
    """Returns the newest model that `train` left in a folder, or None."""
    trained = os.path.join(folder, "model.keras")
    if os.path.exists(trained):
        return trained
    saved = _models(folder)
    return saved[-1] if saved else None


def _models(folder: str) -> list[str]:
    """Returns the models of checkpoints, the oldest first."""
    found = {}
    for path in glob.glob(os.path.join(glob.escape(folder), "model-*.keras")):
        match = re.search(r"model-(\d+)\.keras$", path)
        if match:
            found[int(match[1])] = path
    return [found[step] for step in sorted(found)]


def _build(
    name: str, weight_decay: float, dataset: data.Dataset, seed: int
) -> keras.Model:
    shape = dataset.train.images.shape[1:]
    if name in model.FILTERS:
        return model.build(
            name,
            input_shape=shape,
            num_classes=dataset.num_classes,
            weight_decay=weight_decay,
        )
    mean, variance = data.channel_statistics(dataset.train.images)
    return models.build(
        name,
        shape,
        dataset.num_classes,
        mean=mean,
        variance=variance,
        l2=weight_decay,
        seed=seed,
    )


class _SaveModel(keras.callbacks.Callback):
    """Saves the network at each checkpoint, and removes older ones."""

    def __init__(
        self,
        network: keras.Model,
        settings: config.Config,
        checkpoint: Checkpoint,
    ) -> None:
        super().__init__()
        self._network = network
        self._settings = settings
        self._folder = settings.model_dir
        self._checkpoint = checkpoint

    def on_train_begin(self, logs: Any = None) -> None:
        # By now the folder is known to be this run's.
        config.write(self._settings, os.path.join(self._folder, "config.json"))
        if not self._checkpoint.history:
            # Models of a training that starts again.
            while (stale := newest_model(self._folder)) is not None:
                os.remove(stale)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        step = int(self.model.optimizer.iterations)
        path = os.path.join(self._folder, f"model-{step:06d}.keras")
        with results.atomic_file(path) as temporary:
            self._network.save(temporary)
        for old in _models(self._folder)[:-_MODELS_KEPT]:
            os.remove(old)
