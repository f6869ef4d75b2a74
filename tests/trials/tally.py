"""Counts trials, keeps what failed, and shows the progress."""

import collections
import sys
import time

from peernets_tf import records
from trials.trial import ACCEPTED


class Tally:
    """Counts trials by group, keeps failures, and prints the progress.

    Args:
        root: str, the folder of all trials. What is kept does not name it.
    """

    def __init__(self, root):
        self._root = root
        self._tried = collections.Counter()
        self._passed = collections.Counter()
        self._allowed = collections.Counter()
        self._start = time.monotonic()
        self.failures = []

    def add(self, group, trial, seen, count=1):
        """Counts a trial.

        Args:
            group: str, the group's name.
            trial: the `Trial`.
            seen: list of str, what was wrong.
            count: int, the kills of this run, or 1.
        """
        if not count and not seen:
            return  # The run had ended before the first kill.
        count = max(count, 1)
        self._tried[group] += count
        if seen:
            # A run that ends wrong fails once, whichever kill was the cause.
            self._passed[group] += count - 1
            failure = records.TrialFailure(
                group=group,
                name=trial.name,
                command=self._without_root(trial.command_line),
                seen=tuple(map(self._without_root, seen)),
            )
            self.failures.append(failure)
            print(f"\nFAILED {failure.name}\n  {failure.command}")
            for line in failure.seen:
                print(f"  {line}")
        else:
            self._passed[group] += count
            self._allowed[group] += trial.expected == ACCEPTED
        self._show_progress()

    def groups(self):
        """Returns the counts as `records.TrialGroup`s."""
        return tuple(
            records.TrialGroup(
                name=name,
                tried=tried,
                passed=self._passed[name],
                allowed=self._allowed[name],
            )
            for name, tried in sorted(self._tried.items())
        )

    def _without_root(self, text):
        return text.replace(f"{self._root}/", "")

    def _show_progress(self):
        """Prints a line that the next one replaces; in a log, every 50th."""
        tried = self._tried.total()
        text = (
            f"{tried} trials, {len(self.failures)} failed, "
            f"{time.monotonic() - self._start:.0f} s"
        )
        if sys.stdout.isatty():
            print(f"\r{text}", end="", flush=True)
        elif tried % 50 == 0:
            print(text, flush=True)
