"""The share of an evaluation that one of several processes does."""

import dataclasses
import re
from typing import Self

from peernets_tf.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """The batches of an evaluation that one process attacks.

    Shard 1 of 4 has the batches 0, 4, 8 and so on, shard 2 of 4 the batches 1,
    5, 9 and so on. No seed and no batch depends on the shards, so together they
    find what one process finds.

    Attributes:
        index: int, from 1 to `count`.
        count: int, the processes that share the evaluation. The default, 1 of
            1, is the whole evaluation.

    Raises:
        UserError: if `index` is out of range.
    """

    index: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise UserError(
                "a shard must be one of 1 to `count`. Received: "
                f"index={self.index}, count={self.count}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Returns the shard that --shard names, such as `2/4`.

        Raises:
            UserError: if the text is not i/n with 1 <= i <= n.
        """
        match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UserError(
                "--shard must be i/n with 1 <= i <= n, such as 2/4. Received: "
                f"{text!r}"
            )
        return cls(index=int(match[1]), count=int(match[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def is_whole(self) -> bool:
        """Whether there is no other shard."""
        return self.count == 1

    @property
    def name(self) -> str | None:
        """Its part of the names of files; None for the whole evaluation."""
        return None if self.is_whole else f"{self.index}-of-{self.count}"

    def batches(self, total: int) -> range:
        """Returns the numbers of its batches, of 0 to `total` - 1."""
        return range(self.index - 1, total, self.count)

    def owner(self, number: int) -> Self:
        """Returns which of the shards has the batch of a number."""
        return dataclasses.replace(self, index=number % self.count + 1)
