"""The callbacks of all trainings that need no training to be tested."""

import pytest

from peernets_tf.training import callbacks


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (59, "59 s"),
        (61, "2 min"),
        (3540, "59 min"),
        (3600, "1 h 0 min"),
        (12_000, "3 h 20 min"),
        (200_000, "2 days 7 h"),
    ],
)
def test_a_duration_is_said_in_words(seconds, text):
    assert callbacks.duration(seconds) == text


def test_the_time_of_a_training_is_told_once(monkeypatch, capsys):
    now = iter([100.0, 110.0])  # The five steps after the first: 2 s each.
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(now))
    callback = callbacks.TellDuration(epochs=4, advice=" Do less.")
    callback.set_params({"steps": 10})
    for epoch in (1, 2):  # Resumed after the first of four epochs.
        callback.on_epoch_begin(epoch)
        for batch in range(10):
            callback.on_train_batch_end(batch)
    # 24 steps are left of three epochs of ten.
    assert capsys.readouterr().out.strip() == (
        "The training will take about 48 s for 3 epochs on this machine, "
        "without its validations. Do less."
    )


def test_the_time_of_a_training_that_ends_after_steps(monkeypatch, capsys):
    now = iter([100.0, 110.0])
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: next(now))
    # It was resumed after 100 steps, and has seen six since.
    monkeypatch.setattr(callbacks, "steps_taken", lambda model: 106)
    callback = callbacks.TellDuration(epochs=2, steps=150)
    callback.set_params({"steps": 100})
    callback.on_epoch_begin(1)
    for batch in range(6):
        callback.on_train_batch_end(batch)
    told = capsys.readouterr().out
    assert "about 2 min for 44 more steps on this machine" in told
