"""Names of types that several packages share."""

from collections.abc import Callable
from typing import Any

# A tensor of the Keras backend, or an array that it converts.
Tensor = Any
# None stands for a size that is not known yet.
Shape = tuple[int | None, ...]
# From images `(B, H, W, C)` in [0, 1] to logits `(B, classes)`.
LogitsFunction = Callable[[Tensor], Tensor]
