"""Times attacks against other libraries: `python -m benchmarks.attacks`.

The attacks run in turns on the trained ResNet-32 and images of CIFAR-10:

- PGD, L-infinity, 8/255, 40 steps. Ours runs in three ways: it keeps the best
  iterate, it returns the last one as the others do, or it takes no more steps
  for images that are fooled. The others are cleverhans, Foolbox and ART.
- APGD at 1/255 and Square at 4/255, L-infinity, where some images stand to the
  end. The other is ART.
- One step of finite differences, L-infinity, 8/255, one image. Ours asks the
  model in batches, in a compiled loop. The others ask one query at a time, by a
  compiled function or by `model.predict`.
- The universal perturbation of Moosavi-Dezfooli et al., L2, rho = 0.08, one
  pass over the same training images. Ours runs in one batch and one image at a
  time, as ART always does. Each runs once, because ART takes minutes; ours
  after a first run that compiles it. Fooling rates are measured on 1,000 test
  images.

Libraries that are not installed are left out: pip install -e ".[benchmark]".
"""

import dataclasses
import importlib.metadata

import keras
import numpy as np
from absl import flags

from benchmarks import rivals, timing
from peernets_tf import attacks, datasets, models, records
from peernets_tf.cli import app, shared_flags

_DATA_DIR = shared_flags.define_data_dir()
_IMAGES = flags.DEFINE_integer(
    "images", 32, "Test images attacked (default: 32).", 1
)
_STEPS = flags.DEFINE_integer(
    "steps", 40, "Steps of PGD and APGD (default: 40).", 1
)
_QUERIES = flags.DEFINE_integer(
    "queries",
    100,
    "Queries of Square, and of finite differences, which ask one more "
    "(default: 100).",
    1,
)
_TRAIN_SIZE = flags.DEFINE_integer(
    "train_size",
    15,
    "Training images that the universal perturbation is fitted on (default: "
    "15).",
    1,
)
_ROUNDS = flags.DEFINE_integer(
    "rounds",
    3,
    "Timed rounds of all attacks but the universal perturbation (default: 3).",
    1,
)
_SEED = shared_flags.define_seed()
_OUTPUT_DIR = timing.define_output_dir("attacks")

_EPSILON = 8 / 255
# Some images stand at these radii to the end.
_APGD_EPSILON = 1 / 255
_SQUARE_EPSILON = 4 / 255
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
    queries: int
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
        queries=_QUERIES.value,
        train_size=_TRAIN_SIZE.value,
        rounds=_ROUNDS.value,
        seed=_SEED.value,
        output_dir=_OUTPUT_DIR.value,
    )


def benchmark(config, provenance):
    """Times the attacks and writes the record."""
    begun = timing.begin(config.output_dir)
    keras.utils.set_random_seed(config.seed)
    versions = _versions()
    dataset = datasets.load("cifar10", config.data_dir)
    model = models.load_pretrained("cifar10_resnet32")
    cases = [
        _pgd(config, model, dataset, versions),
        _apgd(config, model, dataset, versions),
        _square(config, model, dataset, versions),
        _finite_difference(config, model, dataset),
        _universal(config, model, dataset, versions),
    ]
    for case in cases:
        rows = [
            (
                name,
                f"{case['images'] / seconds:.1f}",
                records.benchmark_tables.ratio_text(
                    case["seconds"], name, "ours"
                ),
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
        begun=begun,
        provenance=provenance,
        warm_up_rounds=1,
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
    classifier = _classifier(model)

    def ours(**more):
        attack = attacks.PGD(epsilon=_EPSILON, **options, **more)
        return lambda: attack(
            classifier, test.images, test.labels, seed=config.seed
        )

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
        functions["foolbox"] = rivals.foolbox_pgd(
            classifier.logits_fn, test, _EPSILON, **options
        )
    if "art" in versions:
        art = rivals.art_pgd(model, _EPSILON, batch_size=len(test), **options)
        functions["art"] = lambda: art(test.images, test.labels)
    name = f"PGD-{config.steps}"
    return _image_case(config, model, test, functions, name, _EPSILON)


def _apgd(config, model, dataset, versions):
    test = dataset.test.first(config.images)
    classifier = _classifier(model)

    def ours(*, stop_when_fooled):
        attack = attacks.APGD(
            epsilon=_APGD_EPSILON,
            steps=config.steps,
            stop_when_fooled=stop_when_fooled,
        )
        return lambda: attack(
            classifier, test.images, test.labels, seed=config.seed
        )

    functions = {
        "ours": ours(stop_when_fooled=False),
        "ours, stopping": ours(stop_when_fooled=True),
    }
    if "art" in versions:
        functions["art"] = rivals.art_apgd(
            model, test, _APGD_EPSILON, steps=config.steps
        )
    name = f"APGD-{config.steps}, 1/255"
    return _image_case(config, model, test, functions, name, _APGD_EPSILON)


def _square(config, model, dataset, versions):
    test = dataset.test.first(config.images)
    attack = attacks.Square(epsilon=_SQUARE_EPSILON, queries=config.queries)
    classifier = _classifier(model)
    functions = {
        "ours": lambda: attack(
            classifier, test.images, test.labels, seed=config.seed
        )
    }
    if "art" in versions:
        functions["art"] = rivals.art_square(
            model, test, _SQUARE_EPSILON, queries=config.queries
        )
    name = f"Square, {config.queries} queries, 4/255"
    return _image_case(config, model, test, functions, name, _SQUARE_EPSILON)


def _finite_difference(config, model, dataset):
    test = dataset.test.first(1)
    # Two queries for each, and one to see whether the image fools.
    num_groups = max(config.queries // 2, 1)
    attack = attacks.FiniteDifference(epsilon=_EPSILON, num_groups=num_groups)
    classifier = _classifier(model)

    def one_by_one(ask):
        return lambda: rivals.finite_differences_one_by_one(
            ask, test, _EPSILON, num_groups=num_groups, delta=attack.delta
        )

    functions = {
        "ours": lambda: attack(
            classifier, test.images, test.labels, seed=config.seed
        ),
        "one by one, compiled": one_by_one(classifier.logits),
        "one by one, predict": one_by_one(
            lambda images: model.predict(images, verbose=0)
        ),
    }
    name = f"finite differences, {2 * num_groups + 1} queries"
    return _image_case(config, model, test, functions, name, _EPSILON)


def _classifier(model):
    return attacks.Classifier(lambda images: model(images, training=False))


def _image_case(config, model, test, functions, name, epsilon):
    """Times attacks on test images, functions by name, in one ball."""
    clean = np.argmax(model.predict(test.images, verbose=0), axis=1)
    is_correct = clean == test.labels

    def fooling_rate(adversarial):
        change = np.abs(adversarial - test.images)
        assert change.max() <= epsilon + 1e-6
        predictions = np.argmax(model.predict(adversarial, verbose=0), axis=1)
        return float(np.mean(predictions[is_correct] != clean[is_correct]))

    times = _times(
        functions, fooling_rate, name, rounds=config.rounds, warm_up_rounds=1
    )
    return {"attack": name, "images": len(test), **times}


def _universal(config, model, dataset, versions):
    images = dataset.train.first(config.train_size).images
    epsilon = attacks.epsilon_from_rho(dataset.train.images, _RHO)
    classifier = _classifier(model)

    def ours(batch_size):
        attack = attacks.UniversalDeepFool(
            epsilon=epsilon, passes=1, batch_size=batch_size
        )
        return lambda: (
            attack.fit(classifier, images, seed=config.seed).perturbation
        )

    functions = {"ours": ours(len(images)), "ours, one by one": ours(1)}
    print("universal perturbation: compiling ours", flush=True)
    for function in functions.values():
        function()
    if "art" in versions:
        functions["art"] = rivals.art_universal(model, images, epsilon)
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
    # Minutes of warm-up for ART would change little.
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


COMMAND = app.Command(module="benchmarks.attacks", parse=_parse, run=benchmark)

if __name__ == "__main__":
    app.main(COMMAND)
