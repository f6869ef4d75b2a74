"""Trials: commands that are killed, called wrongly and given damaged files.

`make trials` runs them for about 20 minutes on two cores and writes
results/trials.json. They are no part of `make test`.
"""
