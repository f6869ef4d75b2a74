"""A model under attack, with everything that attacks compile for it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import operator
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from peernets_tf.attacks import (
    autodiff,
    checks,
    draws,
    losses,
    model_variables,
    rejection,
)
from peernets_tf.lazy import keras, ops
from peernets_tf.types import LogitsFunction, Shape, Tensor

Made = TypeVar("Made")


@dataclasses.dataclass
class _Compiled:
    """A compiled function, and the batch sizes that it was compiled for."""

    function: Callable[..., Any]
    sizes: set[int] = dataclasses.field(default_factory=set)

    def padded_size(self, size: int, largest: int | None) -> int:
        """Returns the size to pad a batch to, less than double its own.

        Args:
            size: int, that of the batch.
            largest: int or None, the `batch_size` of the `Classifier`.
        """
        if autodiff.pads_batches():
            return min(
                (s for s in self.sizes if size <= s < 2 * size), default=size
            )
        if largest is None or not 0 < size <= largest:
            return size
        # Whatever was compiled before, so that a resumed run rounds alike.
        padded = largest
        while (smaller := padded * 4 // 5) >= size:
            padded = smaller
        return padded


class Classifier:
    """A model under attack: a function from images to logits, compiled once.

    Attacks take a function or a `Classifier`. They compile a function in every
    call, and a classifier only in the first: make one to attack several
    batches. Its logits follow changes of the model's weights and peers.
    If the model draws random numbers, see `draws`, each call draws others.

    Args:
        logits_fn: function from images `(B, H, W, C)` in [0, 1] to logits
            `(B, classes)`, such as a Keras model.
        batch_size: int or None, the largest batch size; give it if the model
            compiles something for each new batch size, as PeerRegularization
            layers do. Then smaller batches are padded to one of a few sizes. On
            JAX and on GPUs it is ignored: they pad to sizes compiled before.

    Attributes:
        logits_fn: the function.
        on_queries: function of an int, or None. It is called after each step of
            an attack with the number of images whose logits that step computed.
        queries: int, the number of images whose logits were computed so far. An
            image counts once for each step, with or without its gradient.
    """

    def __init__(
        self, logits_fn: LogitsFunction, *, batch_size: int | None = None
    ) -> None:
        self.logits_fn = logits_fn
        self._batch_size = batch_size
        self.on_queries: Callable[[int], None] | None = None
        self.queries = 0
        self._seeds: tuple[int, ...] = ()
        self._calls = 0
        self._made: dict[Hashable, Any] = {}
        self._variables = model_variables.variables(logits_fn)

    @classmethod
    def of(cls, logits_fn: LogitsFunction | Classifier) -> Classifier:
        """Returns a `Classifier` as it is, or a new one for a function."""
        return (
            logits_fn if isinstance(logits_fn, Classifier) else cls(logits_fn)
        )

    def predict(
        self,
        images: NDArray[Any],
        labels: NDArray[Any] | None = None,
        *,
        targeted: bool = False,
    ) -> NDArray[np.int32]:
        """Returns the likeliest classes `(B,)`, -1 for logits not finite.

        Args: those of the method `logits`.
        """
        return losses.classes_of(self.logits(images, labels, targeted=targeted))

    def logits(
        self,
        images: NDArray[Any],
        labels: NDArray[Any] | None = None,
        *,
        targeted: bool = False,
    ) -> NDArray[np.float32]:
        """Returns the logits `(B, classes)`, which may be NaN or infinite.

        Args:
            images: float array of shape `(B, H, W, C)`.
            labels: int array of shape `(B,)` or None. Of a `Rejecting` model,
                the logits are those that `rejection.judged` returns; without
                labels, those of the classes only.
            targeted: bool, whether the labels are classes to reach.
        """
        logits = self.call(_logits, np.asarray(images, np.float32))[0]
        if labels is None:
            return rejection.without_rejection(self.logits_fn, logits)
        return ops.convert_to_numpy(
            rejection.judged(self.logits_fn, logits, labels, targeted=targeted)
        )

    def loss_gradient(
        self,
        images: NDArray[Any],
        labels: NDArray[Any],
        loss: str,
        targeted: bool = False,
    ) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Computes the gradient of each image's loss with respect to it.

        Args:
            images: float array of shape `(B, H, W, C)`.
            labels: int array of shape `(B,)` or `(B, 1)`.
            loss: `"cross_entropy"`, `"margin"` or `"dlr"`.
            targeted: bool, whether the labels are classes to reach.

        Returns:
            The gradients, of the shape of `images`, and the predicted classes
            `(B,)`.

        Raises:
            AttackError: if labels are not classes of the model, or losses,
                logits or gradients are not finite.
        """
        images = np.asarray(images, np.float32)
        gradients, predictions, is_finite = self.call(
            _loss_gradient,
            images,
            self.checked_labels(images, labels),
            loss=loss,
            targeted=targeted,
        )
        checks.check_finite(is_finite, checks.LOSS_GRADIENT)
        return gradients, predictions

    def checked_labels(
        self, images: NDArray[Any], labels: NDArray[Any]
    ) -> NDArray[np.int32]:
        """Returns labels as int32 of shape `(B,)`.

        Args:
            images: float array of shape `(B, H, W, C)`.
            labels: int array of shape `(B,)` or `(B, 1)`.

        Raises:
            AttackError: if there is not one class of the model for each image.
        """
        shape = self.logits_shape(images.shape)
        num_classes = None if shape is None else shape[0]
        if num_classes and isinstance(self.logits_fn, rejection.Rejecting):
            num_classes -= 1
        return checks.checked_labels(labels, len(images), num_classes)

    def logits_shape(self, images_shape: tuple[int, ...]) -> Shape | None:
        """Infers the shape of the logits of one image, without computing them.

        Args:
            images_shape: tuple `(B, H, W, C)`.

        Returns:
            A tuple `(classes,)`, or None where the backend cannot tell.

        Raises:
            AttackError: if the model has several outputs, or its logits another
                shape than `(B, classes)` with at least two classes.
        """

        def infer() -> Shape | None:
            # Keras's public way to infer the shape that a function returns.
            layer = keras.layers.Lambda(self.logits_fn)
            try:
                shape = layer.compute_output_shape(images_shape)
            except NotImplementedError:
                return None
            checks.check_outputs(shape)
            return tuple(shape[1:])

        return self.once(("logits_shape", images_shape[1:]), infer)

    def call(
        self,
        function: Callable[..., tuple[Tensor, ...]],
        *arrays: Any,
        queries_per_image: int = 1,
        **options: Any,
    ) -> tuple[Any, ...]:
        """Calls a function that is compiled once and kept.

        Where compiling for a new batch size is expensive, the batch is padded
        to a size that is compiled already.

        Args:
            function: `function(logits_fn, *tensors, **options)`, which returns
                a tuple of tensors whose first axis is the batch.
            *arrays: arrays whose first axis is the batch, or scalars; the
                first is an array.
            queries_per_image: int, how often `function` computes the logits of
                each image.
            **options: hashable constants of the compiled function.

        Returns:
            What `function` returns, as a tuple of NumPy arrays.
        """
        logits_fn = in_float32(self.logits_fn)
        values = [np.asarray(array) for array in arrays]
        compiled = self.once(
            # TensorFlow would compile one program for images of all sizes.
            (function, values[0].shape[1:], *sorted(options.items())),
            lambda: _Compiled(
                autodiff.compiled(
                    functools.partial(
                        _with_key,
                        functools.partial(function, logits_fn, **options),
                    )
                )
            ),
        )
        count = len(values[0])
        size = compiled.padded_size(count, self._batch_size)
        results = compiled.function(
            self.next_key(), *[_padded(value, size - count) for value in values]
        )
        compiled.sizes.add(size)
        self.count(count * queries_per_image)
        return tuple(ops.convert_to_numpy(r)[:count] for r in results)

    def count(self, queries: int) -> None:
        """Adds to `queries`, and calls `on_queries` if it is set."""
        self.queries += queries
        if self.on_queries is not None:
            self.on_queries(queries)

    @contextlib.contextmanager
    def seeded(self, *seeds: int) -> Iterator[None]:
        """Makes a random model's draws depend on seeds until the block ends.

        Without it they depend on the number of calls so far.

        Args:
            *seeds: ints, such as an attack's seed and the number of a batch.
        """
        before = self._seeds, self._calls
        self._seeds, self._calls = seeds, 0
        try:
            yield
        finally:
            self._seeds, self._calls = before

    def next_key(self) -> NDArray[np.uint32]:
        """Returns the key of the draws of one more call, see `draws`."""
        key = np.random.SeedSequence((*self._seeds, self._calls))
        self._calls += 1
        return key.generate_state(1)[0]

    @contextlib.contextmanager
    def observed(self, on_queries: Callable[[int], None]) -> Iterator[None]:
        """Sets `on_queries` until the block ends."""
        before, self.on_queries = self.on_queries, on_queries
        try:
            yield
        finally:
            self.on_queries = before

    def once(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Returns `make()`, which is called only the first time for each key.

        It is called again after variables of the model were replaced, for
        instance by `peernets_tf.set_peers` with another number of peers,
        because compiled functions read the old variables. If the variables of
        the model cannot be found, see `model_variables`, the old ones hold NaN
        and the attack raises an `AttackError`.

        Args:
            key: hashable, the name of the result.
            make: function without arguments.
        """
        variables = model_variables.variables(self.logits_fn)
        if not _same(variables, self._variables):
            self._variables = variables
            self._made.clear()
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


def in_float32(logits_fn: LogitsFunction) -> LogitsFunction:
    """Returns a function whose logits are float32, as losses and images are."""
    if isinstance(logits_fn, rejection.Rejecting):
        return rejection.Rejecting(in_float32(logits_fn.logits_fn))
    return lambda images: ops.cast(logits_fn(images), "float32")


def _with_key(
    function: Callable[..., tuple[Tensor, ...]], key: Tensor, *tensors: Tensor
) -> tuple[Tensor, ...]:
    with draws.key_scope(key):
        return function(*tensors)


def _logits(logits_fn: LogitsFunction, images: Tensor) -> tuple[Tensor]:
    return (logits_fn(images),)


def _loss_gradient(
    logits_fn: LogitsFunction,
    images: Tensor,
    labels: Tensor,
    *,
    loss: str,
    targeted: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    def value_and_logits(images: Tensor) -> tuple[Tensor, Tensor]:
        logits = rejection.judged_logits(
            logits_fn, images, labels, targeted=targeted
        )
        return losses.loss(logits, labels, loss, targeted=targeted), logits

    values, logits, gradients = autodiff.value_and_gradient(
        value_and_logits, images
    )
    return (
        gradients,
        losses.predicted_classes(logits),
        losses.are_finite(values, logits, gradients),
    )


def _padded(array: NDArray[Any], padding: int) -> NDArray[Any]:
    """Repeats the first of a batch at its end; a scalar stays as it is."""
    if padding == 0 or array.ndim == 0:
        return array
    return np.concatenate([array, np.repeat(array[:1], padding, axis=0)])


def _same(first: list[Any], second: list[Any]) -> bool:
    return len(first) == len(second) and all(map(operator.is_, first, second))
