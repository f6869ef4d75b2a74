"""Wrong flags are refused before Keras; library users see no difference."""

import sys

import pytest
from commands import (
    ROOT,
    error_line,
    run_command,
    run_process,
    run_python,
)

import peernets_tf
from peernets_tf import datasets, evaluation, lazy, models, training
from peernets_tf.cli import app
from peernets_tf.errors import BackendError, UserError

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
    (EVALUATE + "--suite=adaptive --steps=3", "--steps"),
    (EVALUATE + "--suite=adaptive --attack=pgd", "suite"),
    (EVALUATE + "--suite=rand --transfer_from=mnist_lenet5", "transfer_from"),
    ("peernets_tf.evaluate --attack=pgd --checkpoint=vgg", "mnist_pr_lenet5"),
    ("peernets_tf.train --initial_model=vgg", "mnist_pr_lenet5"),
    ("peernets_tf.train --flagfile=no_such", "table4_resnet32"),
    ("peernets_tf.train --epochs=4294967296", "--epochs"),
    ("peernets_tf.train --decay_epochs=\u00b2", "decay_epochs"),
    ("peernets_tf.defend", "--checkpoint"),
    ("peernets_tf.defend --checkpoint=vgg", "mnist_pr_lenet5"),
    ("peernets_tf.report", "paths of records"),
    ("peernets_tf.publish --run_dir=a", "--name"),
    ("peernets_tf.explain --checkpoint=vgg --image=0", "mnist_pr_lenet5"),
    ("peernets_tf.explain --checkpoint=mnist_lenet5", "--image"),
    (MADRY + "train --network=w32", "--network"),
    (MADRY + "evaluate --checkpoint=a --step_size=x", "step_size"),
    (MADRY + "compare --checkpoint=resnet32", "ROW=PATH"),
    (MADRY + "run_attack --checkpoint=a b", "not a flag: b"),
    (MADRY + "import_checkpoint --checkpoint=a", "--output"),
    ("peernets_tf.train --dataset=foo", "unknown dataset 'foo'"),
    (EVALUATE + "--attack=pgd --nokeep_best --restarts=3", "keep_best"),
    (MADRY + "evaluate --checkpoint=unknown", "mnist_pr_lenet5"),
    (MADRY + "import_checkpoint --checkpoint=a --output=b.txt", ".keras"),
]
# Values that are wrong only for what they name or for other flags.
PGD = EVALUATE + "--attack=pgd "
BIM = EVALUATE + "--attack=cleverhans.bim "
NO_FILE = "which does not exist"
REFUSED_VALUES = [
    ("peernets_tf.train --dataset=nofile.npz", NO_FILE),
    ("peernets_tf.train --initial_model=nofile.keras", NO_FILE),
    (PGD + "--dataset=foo", "unknown dataset 'foo'"),
    (PGD + "--checkpoint=nofile.keras", NO_FILE),
    (PGD + "--epsilon=0.01,0.01", "linf_0.01, linf_0.01"),
    (PGD + "--rho=0.1,0.1", "rho_0.1, rho_0.1"),
    (PGD + "--rho=0.1 --nokeep_best --restarts=3", "keep_best"),
    (PGD + "--search --epsilon=2", "epsilon"),
    (EVALUATE + "--attack=universal --perturbation=nofile.npy", NO_FILE),
    (BIM + "--step_size=0.2 --epsilon=0.1", "step_size=0.2, epsilon=0.1"),
    ("peernets_tf.publish --run_dir=nodir --name=../x", "--name must be"),
    ("peernets_tf.publish --run_dir=nodir --name=x", "nodir/record.json"),
    ("peernets_tf.report nofile.json", "nofile.json"),
    (MADRY + "train --dataset=foo", "unknown dataset 'foo'"),
    (MADRY + "train --initial_model=nofile.keras", NO_FILE),
    (MADRY + "evaluate --checkpoint=nofile.keras", NO_FILE),
    (MADRY + "evaluate --checkpoint=mnist_lenet5 --num_steps=0", "steps"),
    (MADRY + "evaluate --checkpoint=mnist_lenet5 --watch", "--watch needs"),
    (MADRY + "compare --dataset=foo", "unknown dataset 'foo'"),
    (MADRY + "compare --num_steps=0", "steps"),
    (MADRY + "compare --checkpoint=resnet32=nofile.keras", NO_FILE),
    (
        MADRY + "run_attack --checkpoint=mnist_lenet5 --predictions=x.txt",
        "must end in .npy",
    ),
    (
        MADRY + "run_attack --checkpoint=mnist_lenet5 --attack=nofile.npy",
        NO_FILE,
    ),
    (
        MADRY + "import_checkpoint --checkpoint=nodir --output=x.keras",
        "give the folder or the prefix",
    ),
]
# What only looks wrong, and needs Keras or the data to be judged.
ACCEPTED_VALUES = [
    BIM + "--step_size=0.2 --rho=0.1",
    PGD + "--search --norm=l2",
    MADRY + "evaluate --checkpoint=not_yet --watch",
    MADRY + "evaluate --checkpoint=tests",
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


def without_backend(*_):
    raise BackendError("Keras needs a backend")


@pytest.mark.parametrize(("command", "message"), REFUSED_VALUES)
def test_a_wrong_value_is_refused_before_keras_starts(
    command, message, monkeypatch
):
    monkeypatch.setattr(app, "_start_keras", without_backend)
    module, *arguments = command.split()
    assert message in error_line(run_command(module, *arguments))


@pytest.mark.parametrize("command", ACCEPTED_VALUES)
def test_what_may_be_right_goes_on_to_keras(command, monkeypatch):
    monkeypatch.setattr(app, "_start_keras", without_backend)
    module, *arguments = command.split()
    line = error_line(run_command(module, *arguments))
    assert "Keras needs a backend" in line


def test_a_report_needs_no_keras():
    record = str(ROOT / "results" / "train_cifar10_start.json")
    result = run_process(
        record,
        module="peernets_tf.report",
        KERAS_BACKEND="numpy",
        PYTHONPROFILEIMPORTTIME="1",
    )
    assert result.status == 0
    assert f"Record {record}" in result.stdout
    lines = result.stderr.splitlines()
    imported = {line.rsplit("|", 1)[1].strip() for line in lines}
    assert "absl.flags" in imported
    assert not imported & SLOW


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
