from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_samples import encoded, pixels_of
from memory_source import some_records

from lfs_ray.data import datum
from lfs_ray.data.packing.source import Record
from lfs_ray.data.shards import Block, Shard, ShardTotal, as_block, checked_key, cut_shards
from lfs_ray.errors import DataError


@pytest.mark.parametrize(
    "key",
    [
        *("a", " a", "\ta b", "a\u00a0", "\u4e2d/\u6587 1.jpg", "e\u0301", "x" * 511),
        *(
            "\u05d0\u05d1/\u202e1.png",
            "\U0001f468\u200d\U0001f469.jpg",
            "a\0b",
            "a\x0bb",
            "\ufeffa",
        ),
    ],
)
def test_keys_that_a_list_can_hold(key: str) -> None:
    assert checked_key(key) == key.encode()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "1 to 511 bytes of UTF-8, '' has 0"),
        ("x" * 512, r"1 to 511 bytes of UTF-8, 'x{40}...' has 512"),
        ("\u4e2d" * 171, "has 513"),
        ("a\nb", r"one line of text .* got 'a\\nb'"),
        ("a\rb", r"one line of text .* got 'a\\rb'"),
        ("a ", "without a blank at its end, got 'a '"),
        ("a\t", "without a blank at its end"),
        (" ", "without a blank at its end"),
        ("\ud800", r"UTF-8 text, got '\\ud800'"),
    ],
)
def test_keys_that_it_cannot(key: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        checked_key(key)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("rename the image")


@given(st.text(max_size=8))
def test_a_key_is_refused_or_comes_back_from_its_line(key: str) -> None:
    try:
        code = checked_key(key)
    except DataError:
        return
    line = b"%b 7" % code
    assert line.split(b"\n") == [line]
    assert line.rstrip().rsplit(None, 1)[0].decode() == key


def test_a_block_is_what_is_stored() -> None:
    records = some_records(3, 2)
    block = as_block(records, 2)
    assert block.keys == [b"p0/0000.png", b"p1/0001.png", b"p0/0002.png"]
    assert block.lines == b"p0/0000.png 0\np1/0001.png 1\np0/0002.png 0\n"
    assert [datum.decode(value).data for value in block.values] == [r.image for r in records]
    assert block.sizes_hw == {(8, 8)}
    assert block.digest() == hashlib.sha256(block.lines + b"".join(block.values)).digest()


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (Record("k", b"", 0), 'image "k": image of 0 bytes cannot be decoded'),
        (Record("k", b"text", 0), 'image "k": image of 4 bytes cannot be decoded'),
        (Record("k", encoded(pixels_of(0)), 2), 'label of "k" must be 0 to 1, got 2'),
        (Record("k", encoded(pixels_of(0)), -1), 'label of "k" must be 0 to 1, got -1'),
    ],
)
def test_records_that_are_refused(record: Record, message: str) -> None:
    with pytest.raises(DataError, match=message):
        as_block([*some_records(2, 2), record], 2)


def blocks_of(sizes: list[int]) -> list[Block]:
    return [
        Block([b"k"] * size, [b"12345"] * size, b"k 0\n" * size, frozenset([(1, size)]))
        for size in sizes
    ]


@given(st.lists(st.integers(1, 4)), st.integers(1, 9), st.integers(1, 60))
def test_shards_end_where_they_must(sizes: list[int], max_records: int, max_bytes: int) -> None:
    blocks = blocks_of(sizes)
    cut = cut_shards(blocks, max_records=max_records, max_bytes=max_bytes)
    shards = [list(shard) for shard in cut]
    assert [block for shard in shards for block in shard] == blocks
    counts = [[len(block.keys) for block in shard] for shard in shards]
    for count in counts[:-1]:
        assert sum(count) >= max_records or 5 * sum(count) >= max_bytes
    for count in counts:
        assert sum(count[:-1]) < max_records
        assert 5 * sum(count[:-1]) < max_bytes


def test_cutting_again_from_the_start_of_a_shard_gives_the_same_shards() -> None:
    blocks = blocks_of([3, 1, 2, 4, 4, 1, 1, 2])

    def cut(blocks: list[Block]) -> list[list[Block]]:
        return [list(shard) for shard in cut_shards(blocks, max_records=5, max_bytes=100)]

    shards = cut(blocks)
    for place, _ in enumerate(shards):
        rest = [block for shard in shards[place:] for block in shard]
        assert cut(rest) == shards[place:]
    assert all(one is not other for one, other in pairwise(shards))


def test_blocks_of_a_shard_come_one_by_one() -> None:
    taken: list[int] = []

    def blocks() -> Iterator[Block]:
        for number, block in enumerate(blocks_of([3, 1, 2])):
            taken.append(number)
            yield block

    shards = cut_shards(blocks(), max_records=4, max_bytes=1000)
    first = next(shards)
    next(first)
    assert taken == [0]
    assert len(list(first)) == 1
    assert taken == [0, 1]


def test_description_of_a_shard() -> None:
    blocks = blocks_of([3, 1, 2])
    total = ShardTotal()
    for block in blocks:
        total.add(block)
    shard = total.shard(100, 1000)
    assert total.lines() == b"".join(block.lines for block in blocks)
    digest = hashlib.sha256(b"".join(block.digest() for block in blocks)).hexdigest()
    assert shard == Shard(100, 6, 1024, ((1, 1), (1, 2)), digest)
    copy = Shard.from_json(
        {key: [list(size) for size in value] if isinstance(value, tuple) else value
         for key, value in shard.as_json().items()}
    )  # fmt: skip
    assert copy == shard
