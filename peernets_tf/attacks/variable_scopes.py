"""Scopes in which the variables that a model reads are known or replaced."""

import keras

from peernets_tf.errors import AttackError
from peernets_tf.types import Tensor


class NoteVariables(keras.StatelessScope):
    """Notes the variables that are read, and refuses to change any."""

    def __init__(self) -> None:
        super().__init__(initialize_variables=False)
        self.read: dict[int, keras.Variable] = {}

    def get_current_value(self, variable: keras.Variable) -> Tensor | None:
        self.read[id(variable)] = variable
        return super().get_current_value(variable)

    def add_update(self, update: tuple[keras.Variable, Tensor]) -> None:
        raise AttackError(
            "the model must not change its variables while it is attacked on "
            f"the JAX backend. It changed '{update[0].path}': call the model "
            "with training=False. A model that draws random numbers in "
            "inference can be attacked on the TensorFlow backend only"
        )


class GivenVariables(keras.StatelessScope):
    """Replaces the value of every variable that is read."""

    def get_current_value(self, variable: keras.Variable) -> Tensor:
        value = super().get_current_value(variable)
        if value is None:
            raise AttackError(
                "the model must read the same variables for every batch on "
                f"the JAX backend. A later batch read '{variable.path}' too: "
                "make a new Classifier for it"
            )
        return value
