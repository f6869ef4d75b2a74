"""Attacks that know of peers: a defence must withstand these."""

from peernets_tf.adaptive.backward import BACKWARDS, bpda

__all__ = ["BACKWARDS", "bpda"]
