"""Times attacks against other libraries: `python -m benchmarks.attacks`.

The attacks run in turns on the trained ResNet-32 and images of CIFAR-10:

- PGD, L-infinity, 8/255, 40 steps. Ours runs in three ways: it keeps the best
  iterate, it returns the last one as the others do, or it takes no more steps
  for images that are fooled. The others are cleverhans, Foolbox and ART.
- The universal perturbation of Moosavi-Dezfooli et al., L2, rho = 0.08, one
  pass over the same training images. Ours runs in batches and one image at a
  time, as ART always does. It runs once, because it takes minutes. Fooling
  rates are measured on 1,000 test images.

Libraries that are not installed are left out: pip install -e ".[benchmark]".
"""

import dataclasses
import importlib.metadata
import os
import warnings

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import timing
from peernets_tf import attacks, datasets, models, records
from peernets_tf.cli import app, shared_flags

_DATA_DIR = shared_flags.define_data_dir()
_IMAGES = flags.DEFINE_integer(
    "images", 100, "Test images attacked with PGD.", 1
)
_STEPS = flags.DEFINE_integer("steps", 40, "Gradient steps of PGD.", 1)
_TRAIN_SIZE = flags.DEFINE_integer(
    "train_size",
    100,
    "Training images that the universal perturbation is fitted on.",
    1,
)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds of PGD that are timed.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of all random numbers.", 0)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results", "Folder for benchmark_attacks.json."
)

_EPSILON = 8 / 255
_RHO = 0.08
_RIVALS = {
    "cleverhans": "cleverhans",
    "foolbox": "foolbox",
    "art": "adversarial-robustness-toolbox",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Config:
    data_dir: str | None
    images: int
    steps: int
    train_size: int
    rounds: int
    seed: int
    output_dir: str


def _parse(arguments):
    app.refuse_arguments(arguments)
    return _Config(
        data_dir=_DATA_DIR.value,
        images=_IMAGES.value,
        steps=_STEPS.value,
        train_size=_TRAIN_SIZE.value,
        rounds=_ROUNDS.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Times the attacks and writes the record."""
    load_average = os.getloadavg()[0]
    keras.utils.set_random_seed(config.seed)
    os.makedirs(config.output_dir, exist_ok=True)
    versions = _versions()
    dataset = datasets.load("cifar10", config.data_dir)
    model = models.load_pretrained("cifar10_resnet32")
    cases = [
        _pgd(config, model, dataset, versions),
        _universal(config, model, dataset, versions),
    ]
    for case in cases:
        rows = [
            (
                name,
                f"{case['images'] / seconds:.1f}",
                f"{case['ratio_to_ours'][name]:.2f}",
                f"{case['fooling_rate'][name]:.1%}",
            )
            for name, seconds in case["median_seconds"].items()
        ]
        columns = (case["attack"], "images / s", "time / ours", "fooled")
        print(f"\n{records.tables.markdown_table(columns, rows)}")
    timing.write_record(
        "attacks",
        cases,
        rounds=config.rounds,
        load_average=load_average,
        provenance=provenance,
        output_dir=config.output_dir,
        versions=versions,
    )


def _versions():
    """Returns the versions of the other libraries that are installed."""
    versions = {}
    for name, package in _RIVALS.items():
        try:
            versions[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is not installed and is left out")
    return versions


def _pgd(config, model, dataset, versions):
    test = dataset.test.first(config.images)
    step_size = 2.5 * _EPSILON / config.steps
    options = {"steps": config.steps, "step_size": step_size}

    def logits_fn(images):
        return model(images, training=False)

    classifier = attacks.Classifier(logits_fn)

    def ours(**more):
        attack = attacks.PGD(epsilon=_EPSILON, **options, **more)
        return lambda: attack(classifier, test.images, test.labels, seed=0)

    functions = {
        "ours": ours(),
        "ours, last iterate": ours(keep_best=False),
        "ours, stopping": ours(stop_when_fooled=True),
    }
    if "cleverhans" in versions:
        attack = attacks.CleverHansPGD(epsilon=_EPSILON, **options)
        functions["cleverhans"] = lambda: attack(
            classifier, test.images, test.labels
        )
    if "foolbox" in versions:
        functions["foolbox"] = _foolbox(logits_fn, test, options)
    if "art" in versions:
        from art.attacks.evasion import ProjectedGradientDescent

        art = ProjectedGradientDescent(
            _art_classifier(model),
            eps=_EPSILON,
            eps_step=step_size,
            max_iter=config.steps,
            num_random_init=1,
            batch_size=config.images,
            verbose=False,
        )
        functions["art"] = lambda: art.generate(test.images, test.labels)
    clean = np.argmax(model.predict(test.images, verbose=0), axis=1)
    is_correct = clean == test.labels

    def fooling_rate(adversarial):
        change = np.abs(adversarial - test.images)
        assert change.max() <= _EPSILON + 1e-6
        predictions = np.argmax(model.predict(adversarial, verbose=0), axis=1)
        return float(np.mean(predictions[is_correct] != clean[is_correct]))

    case = {"attack": f"PGD-{config.steps}", "images": len(test)}
    times = _times(
        functions, fooling_rate, case["attack"], rounds=config.rounds
    )
    return {**case, **times}


def _universal(config, model, dataset, versions):
    images = dataset.train.first(config.train_size).images
    epsilon = attacks.epsilon_from_rho(dataset.train.images, _RHO)

    classifier = attacks.Classifier(
        lambda images: model(images, training=False)
    )

    def ours(batch_size):
        attack = attacks.UniversalDeepFool(
            epsilon=epsilon, passes=1, batch_size=batch_size
        )
        return lambda: attack.fit(classifier, images, seed=0).perturbation

    functions = {"ours": ours(32), "ours, one by one": ours(1)}
    if "art" in versions:
        from art.attacks.evasion import UniversalPerturbation

        def art():
            # ART's DeepFool takes up to 100 steps with an overshoot of 1e-6
            # by default. These are the settings of the published algorithm.
            attack = UniversalPerturbation(
                _art_classifier(model),
                attacker="deepfool",
                attacker_params={
                    "max_iter": 10,
                    "epsilon": 0.02,
                    "nb_grads": 10,
                    "verbose": False,
                },
                delta=0.2,
                max_iter=1,
                eps=epsilon,
                norm=2,
                verbose=False,
            )
            attack.generate(images)
            return attack.noise[0]

        functions["art"] = art
    test = dataset.test.first(1000).images
    clean = np.argmax(model.predict(test, verbose=0), axis=1)

    def fooling_rate(perturbation):
        assert np.linalg.norm(perturbation) <= epsilon * (1 + 1e-5)
        perturbed = attacks.apply_perturbation(test, perturbation)
        predictions = np.argmax(model.predict(perturbed, verbose=0), axis=1)
        return float(np.mean(predictions != clean))

    case = {
        "attack": f"universal perturbation, rho = {_RHO}",
        "images": len(images),
    }
    # Without warm-up, so that our time includes the tracing.
    times = _times(
        functions, fooling_rate, case["attack"], rounds=1, warm_up_rounds=0
    )
    return {**case, **times}


def _times(functions, fooling_rate, label, **rounds):
    """Times functions, and returns the fields of a case that this fills."""
    found = {}

    def keeping(name, function):
        def timed():
            found[name] = function()

        return timed

    seconds = timing.time_interleaved(
        {name: keeping(name, f) for name, f in functions.items()},
        label=label,
        **rounds,
    )
    return {
        **rounds,
        "fooling_rate": {name: fooling_rate(found[name]) for name in functions},
        "seconds": seconds,
        "median_seconds": timing.median_seconds(seconds),
        "ratio_to_ours": timing.median_ratios(seconds, "ours"),
    }


def _foolbox(logits_fn, test, options):
    # Foolbox calls a function that NumPy 2 removed.
    if not hasattr(np, "find_common_type"):
        np.find_common_type = lambda arrays, scalars: np.result_type(
            *arrays, *scalars
        )
    import foolbox

    model = foolbox.TensorFlowModel(logits_fn, bounds=(0, 1))
    attack = foolbox.attacks.LinfPGD(
        abs_stepsize=options["step_size"], steps=options["steps"]
    )
    images, labels = tf.constant(test.images), tf.constant(test.labels)
    return lambda: attack(model, images, labels, epsilons=_EPSILON)[1].numpy()


def _art_classifier(model):
    with warnings.catch_warnings():
        # It warns that PyTorch is not installed.
        warnings.simplefilter("ignore")
        from art.estimators.classification import TensorFlowV2Classifier

    height, width, channels = model.input_shape[1:]
    return TensorFlowV2Classifier(
        model,
        nb_classes=10,
        input_shape=(height, width, channels),
        loss_object=tf.keras.losses.SparseCategoricalCrossentropy(
            from_logits=True
        ),
        clip_values=(0, 1),
    )


COMMAND = app.Command(module="benchmarks.attacks", parse=_parse, run=benchmark)

if __name__ == "__main__":
    app.main(COMMAND)
