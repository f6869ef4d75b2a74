"""Wrong flags are refused before Keras; library users see no difference."""

import sys

import pytest
from commands import error_line, run_process, run_python

import peernets_tf
from peernets_tf import datasets, evaluation, lazy, models, training
from peernets_tf.errors import UserError

SLOW = {"keras", "tensorflow", "jax", "tensorflow_datasets"}
EVALUATE = "peernets_tf.evaluate --checkpoint=mnist_lenet5 "
MADRY = "madry_challenge."
REFUSED = [
    ("peernets_tf.train --no_such_flag", "no_such_flag"),
    ("peernets_tf.train --epochs=many", "epochs"),
    ("peernets_tf.train --model=resnet", "--model"),
    ("peernets_tf.train --decay_epochs=3,2", "decay_epochs"),
    ("peernets_tf.train cifar10", "not a flag: cifar10"),
    ("peernets_tf.evaluate --attack=pgd", "--checkpoint"),
    (EVALUATE + "--attack=fgsm --restarts=3", "restarts"),
    (EVALUATE + "--attack=pgd --perturbation=a.npy", "perturbation"),
    (EVALUATE + "--attack=pgd --epsilon=abc", "abc"),
    (EVALUATE + "--attack=noise --backward=soft", "backward"),
    (EVALUATE + "--attack=pgd --peers=all", "--peers"),
    ("peernets_tf.evaluate --attack=pgd --checkpoint=vgg", "mnist_pr_lenet5"),
    ("peernets_tf.train --initial_model=vgg", "mnist_pr_lenet5"),
    ("peernets_tf.train --flagfile=no_such", "table4_resnet32"),
    ("peernets_tf.train --epochs=4294967296", "--epochs"),
    ("peernets_tf.train --decay_epochs=\u00b2", "decay_epochs"),
    ("peernets_tf.report", "paths of records"),
    ("peernets_tf.publish --run_dir=a", "--name"),
    ("peernets_tf.explain --checkpoint=vgg --image=0", "mnist_pr_lenet5"),
    ("peernets_tf.explain --checkpoint=mnist_lenet5", "--image"),
    (MADRY + "train --network=w32", "--network"),
    (MADRY + "evaluate --checkpoint=a --step_size=x", "step_size"),
    (MADRY + "compare --checkpoint=resnet32", "ROW=PATH"),
    (MADRY + "run_attack --checkpoint=a b", "not a flag: b"),
    (MADRY + "import_checkpoint --checkpoint=a", "--output"),
]


@pytest.mark.parametrize(("command", "message"), REFUSED)
def test_a_wrong_flag_is_refused_before_keras_is_imported(command, message):
    module, *arguments = command.split()
    result = run_process(*arguments, module=module, PYTHONPROFILEIMPORTTIME="1")
    imports = [
        line for line in result.stderr.splitlines() if "import time:" in line
    ]
    imported = {line.rsplit("|", 1)[1].strip() for line in imports}
    assert "absl.flags" in imported
    assert not imported & SLOW
    (line,) = set(result.stderr.splitlines()) - set(imports)
    assert line.startswith("error: ") and message in line
    assert result.status == 1


LOAD = """
import sys
{imports}
model = keras.saving.load_model(sys.argv[1])
assert any(type(x).__name__ == "PeerRegularization" for x in model.layers)
print(model.name)
"""


@pytest.mark.parametrize(
    "imports", ["import keras, peernets_tf", "import peernets_tf, keras"]
)
def test_keras_alone_loads_a_peernet_once_the_package_is_imported(imports):
    path = models.preset_path("mnist_pr_lenet5")
    printed = run_python(LOAD.format(imports=imports), path)
    assert printed.strip() == "pr_lenet5"


@pytest.mark.parametrize(
    "package", [peernets_tf, datasets, evaluation, models, training]
)
def test_every_export_exists_and_is_listed(package):
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name


def test_a_module_is_imported_at_its_first_use(monkeypatch):
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    wave = lazy.module("wave")
    assert "wave" not in sys.modules
    assert wave.open is sys.modules["wave"].open


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        (["python", "-m", "peernets_tf.train", "--seed=1"], True),
        (["python", "-X", "dev", "-m", "madry_challenge.compare"], True),
        (["python", "/usr/bin/peernets-train"], True),
        (["python", "-m", "pytest"], False),
        (["python", "-m"], False),
        (["python", "train.py"], False),
        (["python"], False),
    ],
)
def test_only_commands_wait(monkeypatch, started, expected):
    monkeypatch.setattr(sys, "orig_argv", started)
    monkeypatch.setattr(sys, "argv", started[1:])
    assert lazy.is_command() == expected


@pytest.mark.parametrize("backend", ["numpy", "no_such_backend"])
def test_another_backend_is_one_line(backend, tmp_path):
    line = error_line(
        run_process(
            f"--output_dir={tmp_path}",
            module="peernets_tf.train",
            KERAS_BACKEND=backend,
        )
    )
    assert "pip install 'peernets-tf[cpu]'" in line and backend in line


def test_a_missing_backend_is_an_import_error(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'tensorflow'")

    monkeypatch.setattr(lazy.importlib, "import_module", missing)
    with pytest.raises(ImportError, match="pip install.*No module named"):
        lazy.check_backend()
    with pytest.raises(UserError):
        lazy.check_backend()


def test_a_package_that_exports_nothing_is_left_alone():
    import benchmarks

    assert not hasattr(benchmarks, "__all__")
    lazy.import_exports("benchmarks")
