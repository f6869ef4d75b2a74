"""Attacks that know of peers: what a defence must be judged by."""

from peernets_tf.adaptive.backward import BACKWARDS, bpda

__all__ = ["BACKWARDS", "bpda"]
