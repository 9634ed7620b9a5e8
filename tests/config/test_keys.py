from __future__ import annotations

import pytest

from lfs_ray.config.keys import is_name, key_type, key_types, nearest


def test_every_key_of_every_section_has_a_type() -> None:
    assert key_type("search.members") is int
    assert key_type("search.start") == tuple[float, ...]
    assert key_type("populations.any.loss.scale") == float | None
    assert key_type("report.lfw.pairs") is str
    assert len(key_types()) > 90


@pytest.mark.parametrize("path", ["search", "populations", "populations.a", "search.x", "x", ""])
def test_what_takes_no_value_is_no_key(path: str) -> None:
    assert key_type(path) is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("search.memberz", ["search.members"]),
        ("serch", ["search"]),
        ("serch.roundz", ["search.rounds"]),
        ("members", ["search.members"]),
        ("search.batch_size", ["optimizer.batch_size", "reward.batch_size"]),
        ("populations.a.search.roundz", ["populations.a.search.rounds"]),
        ("populations.a.members", ["populations.a.search.members"]),
        ("methods.a.members", ["methods.a.search.members"]),
        ("methods.a.margin", ["methods.a.loss.margin"]),
        ("populations.a.lr", []),
        ("report.lfw.pear", ["report.lfw.pairs"]),
        ("optimizer.qqqq", []),
        ("qqqq", []),
    ],
)
def test_nearest_finds_what_was_meant(path: str, found: list[str]) -> None:
    assert nearest(path) == found


def test_names_are_flags_and_folders() -> None:
    assert all(map(is_name, ["main", "am_035", "0"]))
    assert not any(map(is_name, ["", "Main", "am-1", "a/b", "..", "a b", "a\n", "\u00e4"]))
