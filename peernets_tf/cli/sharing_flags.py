"""The flags by which several processes share an evaluation."""

from absl import flags

from peernets_tf import evaluation
from peernets_tf.cli import workers
from peernets_tf.errors import UserError

# The command that makes a `SharingFlags` owns them, and its --help shows them.
flags.disclaim_key_flags()


class SharingFlags:
    """The flags of a shard of the batches, and of processes with one each."""

    def __init__(self) -> None:
        self._shard = flags.DEFINE_string(
            "shard",
            None,
            "Share of the batches to attack, as i/n with i from 1 to n. The "
            "shards 1/n to n/n, with the same other flags and the same "
            "--output_dir, give the record that one process gives. They may "
            "run on several machines that see that folder. With --suite they "
            "must run at the same time (default: all batches).",
        )
        self._workers = flags.DEFINE_integer(
            "workers",
            1,
            "Processes of this machine that share the batches. Each runs on "
            "cores of its own, and is started again if it is killed (default: "
            "1).",
            1,
        )

    @property
    def workers(self) -> int:
        """The processes of this machine that share the batches."""
        return self._workers.value

    @property
    def is_worker(self) -> bool:
        """Whether this process is one of them."""
        return self.workers > 1 and workers.is_worker()

    def shard(self) -> evaluation.Shard:
        """Returns the share of the batches that the flags describe.

        Raises:
            UserError: if there is no such shard, or --workers is given, too.
        """
        if self._shard.value is None:
            return evaluation.Shard()
        if self.workers > 1 and not self.is_worker:
            raise UserError(
                f"--workers={self.workers} runs all shards itself: leave out "
                f"--workers or --shard. Received: --shard={self._shard.value}"
            )
        return evaluation.Shard.parse(self._shard.value)
