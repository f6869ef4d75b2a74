"""Names to choose from and a default, known before Keras is imported."""

BACKWARDS = ("exact", "identity", "soft")
# The default softmax temperature of the soft backward pass.
TEMPERATURE = 0.05
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
