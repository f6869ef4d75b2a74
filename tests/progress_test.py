"""A bar on a terminal, plain lines elsewhere."""

import io
import sys

import pytest

from peernets_tf.progress import Progress, keras_verbosity


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """A clock that tests move."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_about_ten_plain_lines_where_there_is_no_terminal(clock):
    stream = io.StringIO()
    progress = Progress(1000, "images", stream=stream, clock=clock)
    for done in range(1, 1001):
        clock.now += 1 / 20
        progress.update(done, changed=0.25)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "100/1000 images (10%), 45 s left, changed 0.25"
    assert lines[-1] == "1000/1000 images (100%), 50 s, changed 0.25"
    assert stream.getvalue().replace("\n", "").isprintable()


def test_a_line_a_minute_while_nothing_is_done(clock):
    stream = io.StringIO()
    progress = Progress(100, "images", stream=stream, clock=clock)
    for queries in range(150):
        clock.now += 1
        progress.update(0, queries=queries)
    assert stream.getvalue().splitlines() == [
        "0/100 images (0%), 1 min 00 s so far, queries 59",
        "0/100 images (0%), 2 min 00 s so far, queries 119",
    ]


def test_one_line_on_a_terminal(clock):
    stream = Terminal()
    progress = Progress(4, "images", stream=stream, clock=clock)
    for done in range(5):
        progress.update(done)
        clock.now += 3600
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    shown = text.split("\r")
    assert shown[0] == ""
    assert (
        shown[2] == "[#####...............] 1/4 images (25%), 3 h 00 min left"
    )
    # A shorter text covers all of a longer one.
    widths = [len(line.rstrip("\n")) for line in shown[1:]]
    assert all(
        b >= len(a.rstrip())
        for a, b in zip(shown[1:], widths[1:], strict=False)
    )


def test_a_terminal_is_not_flooded(clock):
    stream = Terminal()
    progress = Progress(10_000, "images", stream=stream, clock=clock)
    for done in range(10_000):
        clock.now += 1e-3
        progress.update(done)
    progress.close()
    assert 40 <= stream.getvalue().count("\r") <= 52
    assert stream.getvalue().endswith("\n")


def test_time_left_ignores_what_an_earlier_run_did(clock):
    stream = Terminal()
    progress = Progress(100, "images", stream=stream, clock=clock)
    progress.skip(80)
    clock.now = 10
    progress.update(90)
    assert "10 s left" in stream.getvalue()


def test_keras_shows_a_bar_in_a_terminal_only(monkeypatch):
    assert keras_verbosity("auto") == 2
    assert keras_verbosity("auto", 0) == 0
    assert keras_verbosity(1) == 1
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert keras_verbosity("auto") == "auto"
