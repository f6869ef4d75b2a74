"""One trial of a command: what it is given, what it does, what is wrong."""

import dataclasses
import re

COMMANDS = (
    "peernets_tf.train",
    "peernets_tf.evaluate",
    "peernets_tf.explain",
    "peernets_tf.report",
    "peernets_tf.publish",
    "madry_challenge.train",
    "madry_challenge.evaluate",
    "madry_challenge.compare",
    "madry_challenge.run_attack",
    "madry_challenge.import_checkpoint",
)
# What a trial expects. A value that looks wrong and is allowed ("accepted") is
# a trial, too: it shows that the table of wrong values knows it.
REFUSED = "refused"
ACCEPTED = "accepted"
EITHER = "either"
_MEMORY_LIMIT = 4 * 2**30
# A line without one of these words only says what is wrong.
_REMEDY = re.compile(
    r"must|give|choose|should|leave|remove|\buse\b|needs|one of|--help|set "
    r"|at least|at most|make|install|take|write|is for",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """A command line with a fault, and what must happen.

    Attributes:
        name: str, the fault in a few words.
        module: str, the command's module.
        arguments: tuple of str, its command line.
        mentions: tuple of str; the error line contains one of them, ignoring
            case: the flag or the file at fault.
        expected: `REFUSED`: status 1 or 2, one line, nothing written.
            `ACCEPTED`: status 0. `EITHER`: one of the two.
        environment: dict of str, variables that this command alone gets.
        may_write: bool, whether the folder may change although the command
            fails, because it resumes a run there.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    mentions: tuple[str, ...] = ()
    expected: str = REFUSED
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    may_write: bool = False

    @property
    def command_line(self) -> str:
        """The command as one line, with control characters escaped."""
        words = [f"{name}={text}" for name, text in self.environment.items()]
        words += ["python", "-m", self.module, *map(_quoted, self.arguments)]
        return " ".join(words)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command left.

    Attributes:
        status: int or None, the exit status; negative for a signal, None if it
            was still running at the time limit.
        stderr: str, its standard error.
        memory: int, the largest resident memory in bytes.
        output: int, the bytes that it printed on standard output.
        written: tuple of str, files that are new or changed in its folder.
        seconds: float, its wall time.
    """

    status: int | None
    stderr: str
    memory: int = 0
    output: int = 0
    written: tuple[str, ...] = ()
    seconds: float = 0.0


def complaints(trial: Trial, outcome: Outcome) -> list[str]:
    """Returns what is wrong with the outcome of a trial; empty if nothing."""
    if outcome.status is None:
        return [f"still running after {outcome.seconds:.0f} s"]
    found = []
    if "Traceback" in outcome.stderr:
        found.append(f"traceback: {last_line(outcome.stderr)}")
    if outcome.memory > _MEMORY_LIMIT:
        found.append(f"{outcome.memory / 2**30:.1f} GiB of memory")
    is_success = outcome.status == 0
    if is_success and trial.expected == REFUSED:
        found.append("accepted")
    elif not is_success and trial.expected == ACCEPTED:
        found.append(f"refused: {last_line(outcome.stderr)}")
    elif not is_success and not found:
        found += _complaints_of_refusal(trial, outcome)
    return found


def _complaints_of_refusal(trial: Trial, outcome: Outcome) -> list[str]:
    found = []
    if outcome.status not in (1, 2):
        found.append(f"exit status {outcome.status}")
    lines = outcome.stderr.strip().splitlines()
    line = lines[-1] if lines else ""
    if len(lines) != 1 or not line.startswith("error: "):
        found.append(f"{len(lines)} lines on stderr, the last: {line[:300]!r}")
    elif trial.mentions and not any(
        word.casefold() in line.casefold() for word in trial.mentions
    ):
        wanted = " or ".join(trial.mentions)
        found.append(f"the line does not name {wanted}: {line[:300]!r}")
    elif not _REMEDY.search(line):
        found.append(f"the line does not say what to do: {line[:300]!r}")
    elif not line.isprintable():
        found.append(f"the line has control characters: {line[:300]!r}")
    if outcome.written and not trial.may_write:
        found.append(f"wrote {', '.join(outcome.written[:3])}")
    return found


def last_line(text: str) -> str:
    """Returns the last line of a text, at most 300 characters, printable."""
    lines = text.strip().splitlines() or ["nothing on stderr"]
    return repr(lines[-1][:300])[1:-1]


def _quoted(word: str) -> str:
    is_plain = re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII)
    return word if is_plain else repr(word)
