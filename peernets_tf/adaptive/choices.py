"""The backward passes to choose from, known before Keras is imported."""

BACKWARDS = ("exact", "identity", "soft")
