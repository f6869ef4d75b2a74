"""The tables of trials."""

from sample_records import make_trials

from peernets_tf.records.trials_tables import trials_tables


def test_trials_are_summed_and_failures_are_listed():
    counts, failures = trials_tables(make_trials())
    assert counts.rows == (
        ("kills", "3", "3", "0"),
        ("files", "5", "4", "1"),
        ("all", "8", "7", "1"),
    )
    assert failures.rows == (("files", "record.json: empty", "exit status 7"),)
    assert len(trials_tables(make_trials(failures=()))) == 1
