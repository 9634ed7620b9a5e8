"""The LMDB that is being written: what is put, what is committed, what is read meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lmdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lfs_ray.data import growing_lmdb
from lfs_ray.data.growing_lmdb import GrowingLmdb
from lfs_ray.data.shards import Block
from lfs_ray.errors import DataError

Rows = dict[bytes, bytes]


def block_of(rows: Rows) -> Block:
    return Block(list(rows), list(rows.values()), b"", frozenset())


def numbered(start: int, stop: int, size: int = 5000) -> Rows:
    return {b"%06d" % i: b"%06d" % i * (size // 6) for i in range(start, stop)}


def content(file: Path) -> Rows:
    env = lmdb.open(str(file), subdir=False, readonly=True, lock=False)
    with env.begin() as txn:
        rows = {bytes(key): bytes(value) for key, value in txn.cursor()}
    env.close()
    return rows


@pytest.fixture
def database(tmp_path: Path) -> Iterator[GrowingLmdb]:
    opened = GrowingLmdb(tmp_path / "data.lmdb", durable=False)
    yield opened
    opened.close()


def test_only_what_is_committed_is_stored(database: GrowingLmdb, tmp_path: Path) -> None:
    database.put([block_of(numbered(0, 3)), block_of(numbered(3, 5))])
    database.commit()
    database.put([block_of(numbered(5, 9))])
    database.close()
    assert content(tmp_path / "data.lmdb") == numbered(0, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["data.lmdb"]


def test_another_thread_commits_and_reads(database: GrowingLmdb) -> None:
    """Readers see the last commit while the next transaction is being filled."""

    def read(keys: list[bytes]) -> list[bytes | None]:
        with database.reading() as value_of:
            found = [value_of(key) for key in keys]
            return [None if value is None else bytes(value) for value in found]

    with ThreadPoolExecutor(1) as disk, ThreadPoolExecutor(1) as reader:
        for first in range(0, 400, 100):
            rows, coming = numbered(first, first + 100), numbered(first + 100, first + 101)
            database.put([block_of(rows)])
            assert reader.submit(read, list(rows)).result() == [None] * 100
            disk.submit(database.commit).result()
            database.put([block_of(coming)])
            asked = [*rows, *coming]
            assert reader.submit(read, asked).result() == [*rows.values(), None]
            database._abort()
    assert len(database) == 400


@pytest.mark.parametrize("committed", [False, True])
def test_a_key_that_was_put_before(database: GrowingLmdb, committed: bool) -> None:
    database.put([block_of(numbered(0, 5))])
    if committed:
        database.commit()
    with pytest.raises(DataError, match='unique, "000004" comes twice'):
        database.put([block_of(numbered(7, 9)), block_of(numbered(4, 7))])
    database.commit()
    assert len(database) == 5 * committed


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    shards=st.lists(st.lists(st.integers(0, 20_000), min_size=1, max_size=12), max_size=8),
    spread=st.sampled_from([1, 7919]),
)
def test_the_map_grows_in_the_midst_of_a_shard(
    tmp_path_factory: pytest.TempPathFactory, shards: list[list[int]], spread: int
) -> None:
    """What the transaction holds is kept, in whatever order keys come and however long images."""
    file = tmp_path_factory.mktemp("grown") / "data.lmdb"
    expected: Rows = {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(growing_lmdb, "_FIRST_MAP_BYTES", 1 << 16)
        database = GrowingLmdb(file, durable=False)
        for shard in shards:
            for size in shard:
                places = range(len(expected), len(expected) + 5)
                rows = {b"%0100d" % (place * spread % 10_007): b"x" * size for place in places}
                database.put([block_of(rows)])
                expected |= rows
            database.commit()
        database.close()
    assert content(file) == expected


def test_a_map_that_grew_holds_all_of_a_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown: list[int] = []
    grow = GrowingLmdb._grow

    def counted(self: GrowingLmdb, txn: lmdb.Transaction, needed: int) -> lmdb.Transaction:
        grown.append(len(self._open_keys))
        return grow(self, txn, needed)

    monkeypatch.setattr(growing_lmdb, "_FIRST_MAP_BYTES", 1 << 21)
    monkeypatch.setattr(GrowingLmdb, "_grow", counted)
    small = GrowingLmdb(tmp_path / "small.lmdb", durable=False)
    # Each image takes two pages, though hardly more bytes than one has.
    for first in range(0, 2600, 40):
        small.put([block_of(numbered(first, first + 40, 4092))])
        if first == 960:
            small.commit()
    small.commit()
    small.close()
    assert 0 < max(grown) < 1600  # what is committed is not taken out
    assert content(tmp_path / "small.lmdb") == numbered(0, 2600, 4092)
