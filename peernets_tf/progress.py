"""How far a long computation has come: a bar, or lines in a log."""

import math
import sys
import time
from collections.abc import Callable
from typing import TextIO

# A terminal shows the bar anew after this time; a log gets a line.
_SECONDS_BETWEEN_BARS = 0.2
_SECONDS_BETWEEN_LINES = 60.0
_LINES = 10
_WIDTH = 20


class Progress:
    """Shows how much of a total is done, and how long the rest will take.

    On a terminal it is a bar in one line. Elsewhere it is about ten plain
    lines, and at least one a minute, without control characters.

    Args:
        total: int, what there is to do.
        unit: str, what is counted, in the plural: `"images"`.
        stream: the text stream to write to; None for the standard output.
        clock: function that returns seconds.
    """

    def __init__(
        self,
        total: int,
        unit: str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total = total
        self.unit = unit
        self._stream = stream or sys.stdout
        self._clock = clock
        self._skipped = 0
        self._start = clock()
        self._is_terminal = self._stream.isatty()
        self._shown_at = self._start
        self._shown_done = 0
        self._width = 0
        self._is_finished = False

    def skip(self, count: int) -> None:
        """Notes that some of what is done took no time, for the time left."""
        self._skipped += count

    def update(self, done: int, **values: float) -> None:
        """Shows what is done by now, unless it was shown just before.

        Args:
            done: int, what is done of the total. At the total the line ends,
                and later calls show nothing.
            **values: numbers to show by their names, such as `changed=0.25`.
        """
        if self._is_finished:
            return
        self._is_finished = done >= self.total
        if not (self._is_finished or self._is_due(done)):
            return
        self._shown_at = self._clock()
        self._shown_done = done
        text = self._text(done, values)
        if not self._is_terminal:
            print(text, file=self._stream, flush=True)
            return
        # The spaces cover what is left of a longer line.
        padded = text.ljust(self._width)
        self._width = len(text)
        end = "\n" if self._is_finished else ""
        print(f"\r{padded}", end=end, file=self._stream, flush=True)

    def close(self) -> None:
        """Ends the line of a bar that did not reach its total."""
        if self._is_terminal and self._width and not self._is_finished:
            print(file=self._stream, flush=True)
        self._is_finished = True

    def _is_due(self, done: int) -> bool:
        elapsed = self._clock() - self._shown_at
        if self._is_terminal:
            return self._width == 0 or elapsed >= _SECONDS_BETWEEN_BARS
        tenths = _LINES * done // self.total
        return (
            tenths > _LINES * self._shown_done // self.total
            or elapsed >= _SECONDS_BETWEEN_LINES
        )

    def _text(self, done: int, values: dict[str, float]) -> str:
        share = min(done / max(self.total, 1), 1.0)
        parts = [f"{done}/{self.total} {self.unit} ({share:.0%})"]
        if self._is_terminal:
            filled = math.floor(share * _WIDTH)
            bar = "#" * filled + "." * (_WIDTH - filled)
            parts[0] = f"[{bar}] {parts[0]}"
        elapsed = self._clock() - self._start
        now = done - self._skipped
        if self._is_finished:
            parts.append(_duration(elapsed))
        elif now > 0:
            left = elapsed / now * (self.total - done)
            parts.append(f"{_duration(left)} left")
        else:
            parts.append(f"{_duration(elapsed)} so far")
        parts += [f"{name} {value:.5g}" for name, value in values.items()]
        return ", ".join(parts)


def _duration(seconds: float) -> str:
    """Returns a duration such as 1 h 02 min, 3 min 20 s or 12 s."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def keras_verbosity(verbose: int | str, lines: int = 2) -> int | str:
    """Returns Keras's verbosity: `lines` for "auto" without a terminal."""
    if verbose == "auto" and not sys.stdout.isatty():
        return lines
    return verbose
