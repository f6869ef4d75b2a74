"""Times attacks beside other libraries: `python -m benchmarks.attacks`.

On the trained ResNet-32 and images of CIFAR-10, in turns:

- PGD, L-infinity, 8/255, 40 steps: ours, which keeps the best iterate; ours,
  which returns the last one as the others do; ours, where an image that is
  fooled takes no more steps; cleverhans; Foolbox; ART. Foolbox calls a NumPy
  function that NumPy 2 removed; it is given back.
- The universal perturbation of Moosavi-Dezfooli et al., L2, rho = 0.08, one
  pass over the same training images: ours in batches, ours one image at a
  time, and ART, which knows only the latter; once, for it takes minutes.
  Fooling rates are measured on 1,000 test images.

What is not installed is left out: pip install -e ".[benchmark]".
"""

import importlib.metadata
import os
import warnings

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from benchmarks import timing
from peernets_tf import command, data, load_pretrained, results
from peernets_tf.attacks import PGD, CleverHans, UniversalDeepFool, universal

_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "TensorFlow Datasets directory. Default: TFDS's own."
)
_IMAGES = flags.DEFINE_integer("images", 100, "Images attacked by PGD.", 1)
_STEPS = flags.DEFINE_integer("steps", 40, "Steps of PGD.", 1)
_TRAIN_SIZE = flags.DEFINE_integer(
    "train_size", 100, "Training images of the universal perturbation.", 1
)
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Times that PGD is timed.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of everything drawn.", 0)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results", "Where benchmark_attacks.json goes."
)

_EPSILON = 8 / 255
_RHO = 0.08
_RIVALS = {
    "cleverhans": "cleverhans",
    "foolbox": "foolbox",
    "art": "adversarial-robustness-toolbox",
}


def benchmark(argv):
    """Times the attacks and writes the record."""
    del argv
    load_average = os.getloadavg()[0]
    keras.utils.set_random_seed(_SEED.value)
    os.makedirs(_OUTPUT_DIR.value, exist_ok=True)
    versions = _versions()
    dataset = data.load("cifar10", _DATA_DIR.value)
    model = load_pretrained("cifar10_resnet32")
    cases = [
        _pgd(model, dataset, versions),
        _universal(model, dataset, versions),
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
        print(f"\n{results.format_table(columns, rows)}")
    timing.write_record(
        "attacks",
        cases,
        rounds=_ROUNDS.value,
        load_average=load_average,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
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


def _pgd(model, dataset, versions):
    test = dataset.test.first(_IMAGES.value)
    step_size = 2.5 * _EPSILON / _STEPS.value
    options = {"steps": _STEPS.value, "step_size": step_size}

    def logits_fn(images):
        return model(images, training=False)

    def ours(**more):
        attack = PGD(epsilon=_EPSILON, **options, **more)
        return lambda: attack(logits_fn, test.images, test.labels, seed=0)

    functions = {
        "ours": ours(),
        "ours, last iterate": ours(keep_best=False),
        "ours, stopping": ours(stop_when_fooled=True),
    }
    if "cleverhans" in versions:
        attack = CleverHans(epsilon=_EPSILON, **options)
        functions["cleverhans"] = lambda: attack(
            logits_fn, test.images, test.labels
        )
    if "foolbox" in versions:
        functions["foolbox"] = _foolbox(logits_fn, test, step_size)
    if "art" in versions:
        from art.attacks.evasion import ProjectedGradientDescent

        art = ProjectedGradientDescent(
            _art_classifier(model),
            eps=_EPSILON,
            eps_step=step_size,
            max_iter=_STEPS.value,
            num_random_init=1,
            batch_size=_IMAGES.value,
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

    case = {"attack": f"PGD-{_STEPS.value}", "images": len(test)}
    times = _times(
        functions, fooling_rate, case["attack"], rounds=_ROUNDS.value
    )
    return {**case, **times}


def _universal(model, dataset, versions):
    images = dataset.train.first(_TRAIN_SIZE.value).images
    epsilon = universal.strength(dataset.train.images, _RHO)

    def logits_fn(images):
        return model(images, training=False)

    def ours(batch_size):
        # ART's DeepFool takes up to 100 steps with an overshoot of 1e-6 by
        # default; it is given the algorithm's own, which ours has.
        maker = UniversalDeepFool(
            epsilon=epsilon, passes=1, batch_size=batch_size
        )
        return lambda: maker(logits_fn, images, seed=0)

    functions = {"ours": ours(32), "ours, one by one": ours(1)}
    if "art" in versions:
        from art.attacks.evasion import UniversalPerturbation

        def art():
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
        perturbed = universal.apply(test, perturbation)
        predictions = np.argmax(model.predict(perturbed, verbose=0), axis=1)
        return float(np.mean(predictions != clean))

    case = {
        "attack": f"universal perturbation, rho = {_RHO}",
        "images": len(images),
    }
    # Once, without warm-up: what it takes to trace ours counts with it.
    times = _times(
        functions, fooling_rate, case["attack"], rounds=1, warm_up_rounds=0
    )
    return {**case, **times}


def _times(functions, fooling_rate, label, **rounds):
    """Returns the fields of a case that the timed functions determine."""
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


def _foolbox(logits_fn, test, step_size):
    if not hasattr(np, "find_common_type"):
        np.find_common_type = lambda arrays, scalars: np.result_type(
            *arrays, *scalars
        )
    import foolbox

    model = foolbox.TensorFlowModel(logits_fn, bounds=(0, 1))
    attack = foolbox.attacks.LinfPGD(abs_stepsize=step_size, steps=_STEPS.value)
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


if __name__ == "__main__":
    command.run(benchmark)
