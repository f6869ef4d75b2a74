"""Names to choose from, known before Keras is imported."""

BACKWARDS = ("exact", "identity", "soft")
ABLATIONS = (
    "random_neighbors",
    "uniform_attention",
    "first_layer_only",
    "second_layer_only",
    "no_layers",
    "attention_gat",
    "attention_softplus",
    "attention_literal",
)
