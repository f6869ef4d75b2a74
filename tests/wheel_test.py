"""The wheel holds all that the commands need outside a checkout."""

import configparser
import importlib
import subprocess
import sys
import zipfile

import pytest
from commands import ROOT

_COPIED = ("flags", "madry_challenge", "peernets_tf")
_FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the sources, so that building leaves no traces."""
    source = tmp_path_factory.mktemp("source")
    paths = [p for name in _COPIED for p in (ROOT / name).rglob("*.*")]
    for path in [*paths, *(ROOT / name for name in _FILES)]:
        if path.is_file() and path.suffix != ".pyc":
            copy = source / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    target = tmp_path_factory.mktemp("wheel")
    options = ["--no-build-isolation", "--no-deps", "--no-index", "-w", target]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, source],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (path,) = target.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_is_complete(wheel):
    expected = {
        path.relative_to(ROOT).as_posix()
        for name in ("madry_challenge", "peernets_tf")
        for path in (ROOT / name).rglob("*.*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert "peernets_tf/models/preset_files/mnist_lenet5.keras" in expected
    expected |= {
        f"peernets_tf/flag_files/{path.name}"
        for path in (ROOT / "flags").glob("*.flags")
    }
    found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert found == expected


@pytest.fixture
def run(wheel, tmp_path):
    """Runs code with the wheel's packages, and returns the lines it prints."""
    wheel.extractall(tmp_path)

    def run(code):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "KERAS_BACKEND": "tensorflow"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_the_flag_files_are_found_in_the_wheel(run, tmp_path):
    folder, path = run(
        "from peernets_tf.cli import flag_files as f; print(f.FOLDER);"
        "print(f.find('table4_resnet32'))"
    )
    assert folder == str(tmp_path / "peernets_tf" / "flag_files")
    assert path == f"{folder}/table4_resnet32.flags"


def test_a_preset_is_loaded_from_the_wheel(run, tmp_path):
    path, parameters = run(
        "import peernets_tf as p; print(p.__file__);"
        "print(p.load_pretrained('cifar10_pr_resnet32').count_params())"
    )
    assert path == str(tmp_path / "peernets_tf" / "__init__.py")
    assert parameters == "469564"


def test_console_scripts_are_functions(wheel):
    (name,) = [n for n in wheel.namelist() if n.endswith("entry_points.txt")]
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(name).decode())
    scripts = dict(parser["console_scripts"])
    assert set(scripts) == {
        "peernets-train",
        "peernets-defend",
        "peernets-evaluate",
        "peernets-explain",
        "peernets-report",
    }
    for script, target in scripts.items():
        module = script.replace("peernets-", "peernets_tf.")
        assert target == f"{module}:main"
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


def test_every_extra_with_tfds_has_what_its_downloads_import():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    with_tfds = [e for e in extras if "tensorflow-datasets" in extras[e]]
    assert with_tfds == ["tensorflow", "cpu", "gpu"]
    for extra in with_tfds:
        assert "importlib_resources" in extras[extra].split()
    assert "tensorflow[and-cuda]" in extras["gpu"]


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100"])
def test_tfds_imports_what_a_download_needs(name, tmp_path, monkeypatch):
    tfds = importlib.import_module("tensorflow_datasets")
    core = tfds.core

    def refuse(self, urls):
        raise ConnectionError("no network in tests")

    monkeypatch.setattr(core.utils.gcs_utils, "_is_gcs_disabled", True)
    for method in ("download", "download_and_extract"):
        monkeypatch.setattr(tfds.download.DownloadManager, method, refuse)
    builder = tfds.builder(name, data_dir=tmp_path)
    with pytest.raises(ConnectionError, match="no network in tests"):
        builder.download_and_prepare()
    downloader = importlib.import_module(
        "tensorflow_datasets.core.download.downloader"
    )
    for lazily_imported in (
        core.dataset_builder.importlib_resources.abc.Traversable,
        downloader.promise.Promise,
        downloader.requests.Session,
        downloader.tqdm_utils.tqdm,
    ):
        assert lazily_imported is not None
