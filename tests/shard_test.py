"""Which batches a shard has, and how a flag names it."""

import pytest

from peernets_tf.errors import UserError
from peernets_tf.evaluation import Shard


@pytest.mark.parametrize(
    ("text", "index", "count"), [("1/1", 1, 1), ("2/4", 2, 4), ("08/10", 8, 10)]
)
def test_parses(text, index, count):
    assert Shard.parse(text) == Shard(index=index, count=count)


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "1/", "/2", "a/2", "1/2/3", " 1/2", "1 /2", "1/2\n"),
        *("0/2", "3/2", "-1/2", "1/-2", "1.0/2", "²/3", "1/12345678"),
    ],
)
def test_refuses_what_is_no_shard(text):
    with pytest.raises(UserError, match="--shard must be i/n .* Received"):
        Shard.parse(text)


@pytest.mark.parametrize(("index", "count"), [(0, 1), (2, 1), (-1, 3), (1, 0)])
def test_refuses_an_index_out_of_range(index, count):
    with pytest.raises(UserError, match=f"index={index}, count={count}"):
        Shard(index=index, count=count)


@pytest.mark.parametrize("total", [0, 1, 5, 8])
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_each_batch_has_one_owner(total, count):
    shards = [Shard(index=i + 1, count=count) for i in range(count)]
    batches = [number for shard in shards for number in shard.batches(total)]
    assert sorted(batches) == list(range(total))
    for shard in shards:
        assert {shard.owner(number) for number in shard.batches(total)} <= {
            shard
        }
    sizes = [len(shard.batches(total)) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


def test_names():
    assert Shard().is_whole
    assert Shard().name is None
    shard = Shard(index=2, count=4)
    assert not shard.is_whole
    assert (shard.name, str(shard)) == ("2-of-4", "2/4")
