"""The models in a training's folder: the newest, and waiting for newer ones."""

import threading

from madry_challenge import saved_models


def test_the_newest_model(tmp_path):
    folder = str(tmp_path)
    assert saved_models.newest(folder) is None
    # As numbers: 1000000 is more than 999999.
    for name in ("model-999999", "model-1000000", "model-old", "other"):
        (tmp_path / f"{name}.keras").touch()
    newest = str(tmp_path / "model-1000000.keras")
    assert saved_models.newest(folder) == newest
    (tmp_path / "model.keras").touch()
    assert saved_models.newest(folder) == str(tmp_path / "model.keras")


def test_it_watches_until_the_trained_model(tmp_path, capsys):
    folder = tmp_path / "run"

    def add(name):
        folder.mkdir(exist_ok=True)
        (folder / name).touch()

    names = ("model-000300.keras", "model-000600.keras", "model.keras")
    watched = saved_models.watch(str(folder), seconds=0.01)
    for name in names:
        later = threading.Timer(0.1, add, [name])
        later.start()
        assert next(watched) == str(folder / name)
        later.join()
    assert list(watched) == []
    waits = capsys.readouterr().out.splitlines()
    assert waits == [
        f"Waiting for a new model in {folder} (missing)",
        f"Waiting for a new model in {folder}",
        f"Waiting for a new model in {folder}",
    ]
