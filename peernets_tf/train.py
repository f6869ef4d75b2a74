"""Trains a PeerNet or a baseline: `python -m peernets_tf.train`."""

import dataclasses
import os
from typing import Any

import keras
from absl import flags

from peernets_tf import (
    command,
    data,
    models,
    peers,
    recipes,
    results,
    training,
)
from peernets_tf.checkpoint import Checkpoint

_DATASET = flags.DEFINE_string(
    "dataset",
    "mnist5k",
    f"One of {', '.join(data.DATASET_NAMES)}, or the path of an .npz file with "
    "x_train, y_train, x_test and y_test.",
)
_MODEL = flags.DEFINE_enum(
    "model",
    None,
    models.MODEL_NAMES,
    "The network. Default: the paper's PeerNet for the data set.",
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "TensorFlow Datasets directory. Default: TFDS's own."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Where checkpoints, logs, model and record go; a run found there is "
    "resumed. Default: runs/DATASET_MODEL.",
)
_INITIAL_MODEL = flags.DEFINE_string(
    "initial_model",
    None,
    "A .keras file, such as a trained baseline: layers start from the weights "
    "of its layers of the same name.",
)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of everything drawn.", 0)
_VALIDATION_SIZE = flags.DEFINE_integer(
    "validation_size", 1000, "Test images used after each epoch.", 1
)
_TEST_SIZE = flags.DEFINE_integer(
    "test_size", None, "Test images used at the end. Default: all.", 1
)

# One flag for each number of Table 1; None is the recipe's.
_RECIPE = {
    "optimizer": flags.DEFINE_enum(
        "optimizer", None, training.OPTIMIZERS, "Default: Table 1's."
    ),
    "epochs": flags.DEFINE_integer("epochs", None, "Default: Table 1's.", 1),
    "batch_size": flags.DEFINE_integer(
        "batch_size", None, "Default: Table 1's.", 1
    ),
    "learning_rate": flags.DEFINE_float(
        "learning_rate", None, "Largest learning rate. Default: Table 1's.", 0.0
    ),
    "momentum": flags.DEFINE_float(
        "momentum", None, "Default: Table 1's.", 0.0, 1.0
    ),
    "l2": flags.DEFINE_float(
        "l2",
        None,
        "Weight of the squared kernels / 2. Default: Table 1's.",
        0.0,
    ),
    "schedule": flags.DEFINE_enum(
        "schedule",
        None,
        training.SCHEDULES,
        "Course of the learning rate. Default: Table 1's.",
    ),
    "decay_epochs": flags.DEFINE_list(
        "decay_epochs", None, "Epochs of the step schedule. Default: Table 1's."
    ),
    "decay_factor": flags.DEFINE_float(
        "decay_factor", None, "Factor of the step schedule. Default: Table 1's."
    ),
    "augment": flags.DEFINE_bool(
        "augment", None, "Shift and mirror images. Default: for CIFAR only."
    ),
    "num_peers": flags.DEFINE_integer(
        "num_peers", None, "N, peers in a test graph. Default: Sec. 4.1's.", 1
    ),
    "num_graphs": flags.DEFINE_integer(
        "num_graphs", None, "M, test graphs. Default: Section 4.1's.", 1
    ),
}

flags.register_validator(
    "decay_epochs",
    lambda epochs: (
        epochs is None
        or all(map(str.isdigit, epochs))
        and [*map(int, epochs)] == sorted({*map(int, epochs)})
    ),
    "must be epochs in ascending order, as in 100,175,250",
)


def train(argv: list[str]) -> None:
    """Trains, tests, and writes model.keras and record.json."""
    if argv[1:]:
        raise ValueError(f"not a flag: {' '.join(argv[1:])}")
    # Now, because the source may change while the training runs.
    environment = results.environment()
    dataset = data.load(_DATASET.value, _DATA_DIR.value)
    name = _MODEL.value or recipes.default_model(_DATASET.value)
    recipe = _chosen_recipe(name)
    output_dir = _OUTPUT_DIR.value or _default_output_dir(name)
    os.makedirs(output_dir, exist_ok=True)
    keras.utils.set_random_seed(_SEED.value)
    model = _build_model(name, dataset, recipe)
    run_id = {
        "dataset": _DATASET.value,
        "dataset_sha256": data.fingerprint(_DATASET.value),
        "model": name,
        "initial_model": _start_from_initial_model(model),
        "validation_size": _VALIDATION_SIZE.value,
        "seed": _SEED.value,
        **dataclasses.asdict(recipe),
    }
    checkpoint = Checkpoint(output_dir, run_id, environment)
    print(f"Training {name} on {dataset.name} in {output_dir}", flush=True)
    training.fit(
        model,
        dataset,
        recipe,
        checkpoint=checkpoint,
        seed=_SEED.value,
        validation_size=_VALIDATION_SIZE.value,
    )
    record = _test(model, dataset, recipe, checkpoint)
    model_path = os.path.join(output_dir, "model.keras")
    with results.atomic_file(model_path) as path:
        model.save(path)
    record_path = os.path.join(output_dir, "record.json")
    results.write_json(record, record_path)
    print(f"{name} on {dataset.name}: test accuracy {record.accuracy:.2%}")
    print(f"Model: {model_path}\nRecord: {record_path}")


def _build_model(
    name: str, dataset: data.Dataset, recipe: recipes.Recipe
) -> keras.Model:
    mean, variance = data.channel_statistics(dataset.train.images)
    return models.build(
        name,
        dataset.train.images.shape[1:],
        dataset.num_classes,
        mean=mean,
        variance=variance,
        l2=recipe.l2,
        seed=_SEED.value,
    )


def _start_from_initial_model(model: keras.Model) -> dict[str, Any]:
    """Copies the weights of --initial_model, and returns what it is."""
    path = _INITIAL_MODEL.value
    if not path:
        return {}
    initial = models.load(path)
    models.copy_weights(initial, model)
    record_path = os.path.join(os.path.dirname(path), "record.json")
    epochs = None
    if os.path.exists(record_path):
        epochs = len(results.read_json(record_path).history)
    return {
        "path": path,
        "model": initial.name,
        "epochs": epochs,
        "weights_sha256": results.weights_sha256(initial),
    }


def _test(
    model: keras.Model,
    dataset: data.Dataset,
    recipe: recipes.Recipe,
    checkpoint: Checkpoint,
) -> results.TrainingResult:
    """Stores the test graphs in the model, and counts what it gets right."""
    is_peernet = bool(peers.peer_layers(model))
    peers_seed = [3, _SEED.value]
    if is_peernet:
        graphs = peers.draw_peers(
            dataset.train.images,
            recipe.num_peers,
            recipe.num_graphs,
            seed=peers_seed,
        )
        peers.set_peers(model, graphs)
    test = dataset.test.first(_TEST_SIZE.value)
    print(f"Testing on {len(test)} images", flush=True)
    history = checkpoint.history
    return results.TrainingResult(
        model=model.name,
        weights_sha256=results.weights_sha256(model),
        dataset=dataset.name,
        train_size=len(dataset.train),
        test_size=len(test),
        correct=training.count_correct(peers.monte_carlo(model), test),
        num_peers=recipe.num_peers if is_peernet else 0,
        num_graphs=recipe.num_graphs if is_peernet else 0,
        peers_seed=peers_seed if is_peernet else [],
        history=[
            {key: row[key] for key in row if key != "seconds"}
            for row in history
        ],
        seed=_SEED.value,
        flags={
            **command.own_flags(),
            **dataclasses.asdict(recipe),
            "model": model.name,
        },
        command=command.line("peernets_tf.train"),
        seconds=round(sum(row["seconds"] for row in history), 1),
        initial_model=checkpoint.run_id["initial_model"],
        **checkpoint.environment,
    )


def _chosen_recipe(model: str) -> recipes.Recipe:
    recipe = recipes.recipe(model, _DATASET.value)
    changes: dict[str, Any] = {
        name: flag.value
        for name, flag in _RECIPE.items()
        if flag.value is not None
    }
    if "decay_epochs" in changes:
        changes["decay_epochs"] = tuple(map(int, changes["decay_epochs"]))
    return dataclasses.replace(recipe, **changes)


def _default_output_dir(model: str) -> str:
    dataset = os.path.splitext(os.path.basename(_DATASET.value))[0]
    return os.path.join("runs", f"{dataset}_{model}")


if __name__ == "__main__":
    command.run(train)
