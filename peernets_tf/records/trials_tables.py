"""The tables of trials: how many passed, and what failed."""

from peernets_tf.records.tables import Table
from peernets_tf.records.trials import TrialsRecord

TRIALS_COLUMNS = ("trials", "tried", "passed", "failed")


def trials_tables(record: TrialsRecord) -> list[Table]:
    """Returns the table of trials and, if any failed, that of failures."""
    counts = [(g.name, g.tried, g.passed) for g in record.groups]
    tried = sum(group.tried for group in record.groups)
    passed = sum(group.passed for group in record.groups)
    cells = tuple(
        (name, str(of), str(good), str(of - good))
        for name, of, good in [*counts, ("all", tried, passed)]
    )
    found = [Table("Trials of the commands", TRIALS_COLUMNS, cells)]
    if record.failures:
        failures = tuple(
            (failure.group, failure.name, "; ".join(failure.seen))
            for failure in record.failures
        )
        columns = ("trials", "what was given", "what was seen")
        found.append(Table("Trials that failed", columns, failures))
    return found
