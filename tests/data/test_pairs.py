from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.data.pair_sampling import deal_identities
from lfs_ray.data.pairs import Pairs, check_images, make_pairs, read_pairs
from lfs_ray.data.store import FolderStore
from lfs_ray.errors import DataError

Row = tuple[str, str, int, int]


def rows_of(pairs: Pairs) -> list[Row]:
    return [
        (pairs.keys[first], pairs.keys[second], int(same), int(fold))
        for first, second, same, fold in zip(
            pairs.first, pairs.second, pairs.same, pairs.fold, strict=True
        )
    ]


def read(folder: Path, text: str) -> Pairs:
    (folder / "pairs").write_text(text)
    return read_pairs(folder / "pairs")


def test_table_with_header(tmp_path: Path) -> None:
    pairs = read(
        tmp_path,
        "fold\tsame\ta\tb\n0\t1\tv/p1/0.jpg\tv/p1/1 x.jpg\n\n1\t0\tv/p1/0.jpg\tv/p2/0.jpg\r\n",
    )
    assert rows_of(pairs) == [
        ("v/p1/0.jpg", "v/p1/1 x.jpg", 1, 0),
        ("v/p1/0.jpg", "v/p2/0.jpg", 0, 1),
    ]
    assert pairs.keys == ("v/p1/0.jpg", "v/p1/1 x.jpg", "v/p2/0.jpg")
    assert pairs.identity.tolist() == [0, 0, 1]
    assert len(pairs) == 2


def test_columns_in_another_order(tmp_path: Path) -> None:
    pairs = read(tmp_path, "a\tb\tfold\tsame\np/0\tq/0\t3\t0\np/0\tp/1\t2\t1\n")
    assert rows_of(pairs) == [("p/0", "q/0", 0, 3), ("p/0", "p/1", 1, 2)]


def test_images_without_a_folder_are_one_person_where_same_pairs_join_them(tmp_path: Path) -> None:
    rows = "0\t1\tv\tw\n0\t1\tx\ty\n0\t0\tx\tz\n1\t1\tw\tx\n1\t0\tu\tz\n"
    pairs = read(tmp_path, TABLE + rows)
    people = dict(zip(pairs.keys, pairs.identity.tolist(), strict=True))
    assert people["v"] == people["w"] == people["x"] == people["y"]
    assert len({people["v"], people["z"], people["u"]}) == 3
    assert pairs.people() == frozenset()


LFW = "2\t2\nA\t1\t2\nB_C\t1\t12345\nA\t1\tD\t3\nA\t2\tB_C\t1\n" + (
    "D\t1\t2\nE\t1\t3\nD\t1\tE\t3\nD\t1\tE\t1\n"
)


def test_lfw_folds(tmp_path: Path) -> None:
    assert rows_of(read(tmp_path, LFW)) == [
        ("A/A_0001.jpg", "A/A_0002.jpg", 1, 0),
        ("B_C/B_C_0001.jpg", "B_C/B_C_12345.jpg", 1, 0),
        ("A/A_0001.jpg", "D/D_0003.jpg", 0, 0),
        ("A/A_0002.jpg", "B_C/B_C_0001.jpg", 0, 0),
        ("D/D_0001.jpg", "D/D_0002.jpg", 1, 1),
        ("E/E_0001.jpg", "E/E_0003.jpg", 1, 1),
        ("D/D_0001.jpg", "E/E_0003.jpg", 0, 1),
        ("D/D_0001.jpg", "E/E_0001.jpg", 0, 1),
    ]


@pytest.mark.parametrize("per_kind", [1, 4, 10, 25])
def test_development_lists_get_balanced_folds(tmp_path: Path, per_kind: int) -> None:
    same = "".join(f"P{i}\t1\t2\n" for i in range(per_kind))
    different = "".join(f"P{i}\t1\tQ{i}\t1\n" for i in range(per_kind))
    pairs = read(tmp_path, f"{per_kind}\n{same}{different}")
    assert pairs.same.tolist() == [True] * per_kind + [False] * per_kind
    folds = min(10, per_kind)
    for kind in (pairs.fold[pairs.same], pairs.fold[~pairs.same]):
        assert sorted(set(kind.tolist())) == list(range(folds))
        assert kind.tolist() == sorted(kind)
        assert np.ptp(np.bincount(kind)) <= 1


TABLE = "fold\tsame\ta\tb\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have lines, it is empty"),
        (TABLE, "must list pairs, it has a header only"),
        ("name\tvalue\n", 'line 1 must be the header "fold same a b", .* got "name value"'),
        ("10 20 30\n", "line 1 must be the header"),
        ("0\n", "line 1 must be the header"),
        (TABLE + "0\t1\tp/0\n", 'line 2 must have the 4 fields fold same a b, got "0 1 p/0"'),
        (TABLE + "\n0\tx\tp/0\tp/1\n", "line 3 must have a fold"),
        (TABLE + "-1\t1\tp/0\tp/1\n", "line 2 must have a fold"),
        (TABLE + "0\t1\tp/0\t\n", "line 2 must have a fold"),
        (TABLE + "0\t1\tp/0\tp/0\n", 'line 2 must name two images, got "p/0" twice'),
        (TABLE + "0\t1\tp/0\tq/0\n", 'line 2 must agree .* says same of "p/0" and "q/0"'),
        (TABLE + "0\t0\tp/0\tp/1\n", "line 2 must agree with the folders.* says different"),
        ("1\t1\nA\t1\t2\n", "line 1 says that 2 pairs follow, the list has 1"),
        ("1\t1\nA\t1\t2\nB\t1\t2\n", 'line 3 must be a different pair, "name1 i name2 j"'),
        ("1\t1\nA\t1\tB\t2\nB\t1\tA\t2\n", 'line 2 must be a same pair, "name i j"'),
        ("1\nA\tone\t2\nB\t1\tA\t2\n", "line 2 must be a same pair"),
        ("1\nA\t1\t2\nB\t1\tA\t2.5\n", "line 3 must be a different pair"),
    ],
)
def test_lists_that_do_not_fit(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert str(tmp_path / "pairs") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere must be a readable file"):
        read_pairs(tmp_path / "nowhere")
    (tmp_path / "latin").write_bytes(b"fold\tsame\ta\tb\n0\t1\t\xe9/0\t\xe9/1\n")
    with pytest.raises(DataError, match="latin must be UTF-8 text"):
        read_pairs(tmp_path / "latin")


def test_missing_images_are_named(tmp_path: Path, class_folders: Path) -> None:
    store = FolderStore(class_folders)
    different = TABLE + "0\t0\t2/000.jpg\t10/001.jpg\n"
    check_images(read(tmp_path, different + "0\t1\t2/000.jpg\t2/001.jpg\n"), store)
    lines = "".join(f"0\t1\t2/000.jpg\tx/2/{i:03d}.jpg\n" for i in range(12))
    with pytest.raises(DataError) as caught:
        check_images(read(tmp_path, different + lines), store)
    names = ", ".join(f"x/2/{i:03d}.jpg" for i in range(10))
    assert str(caught.value) == (
        f"all 14 images of the pairs must be in {class_folders}, 12 are missing: {names}, ..."
    )
    with pytest.raises(DataError, match=r"1 are missing: 2/7.jpg$"):
        check_images(read(tmp_path, different + "0\t1\t2/000.jpg\t2/7.jpg\n"), store)


COUNTS = st.lists(st.integers(1, 12), min_size=1, max_size=30)


@given(COUNTS, st.integers(0, 2**40), st.integers(2, 5), st.integers(1, 12))
def test_made_pairs(counts: list[int], seed: int, folds: int, per_fold: int) -> None:
    labels = np.random.Generator(np.random.PCG64(seed)).permutation(
        np.repeat(np.arange(len(counts)), counts)
    )
    try:
        pairs = make_pairs(labels, seed, folds, per_fold)
    except DataError:
        enough = sum(count > 1 for count in counts) >= 2 * folds
        assert not enough or per_fold > 1
        return
    index = np.array([int(key) for key in pairs.keys])
    assert index.tolist() == sorted(set(index.tolist()))
    assert np.array_equal(pairs.identity, labels[index])
    one, other = pairs.identity[pairs.first], pairs.identity[pairs.second]
    assert np.array_equal(one == other, pairs.same)
    assert (pairs.first != pairs.second).all()
    assert set(np.concatenate([pairs.first, pairs.second])) == set(range(len(index)))
    people = [set(one[pairs.fold == f]) | set(other[pairs.fold == f]) for f in range(folds)]
    assert sum(map(len, people)) == len(set.union(*people))
    assert np.bincount(pairs.fold[pairs.same]).tolist() == [per_fold] * folds
    assert np.bincount(pairs.fold[~pairs.same]).tolist() == [per_fold] * folds
    unordered = {frozenset(pair) for pair in zip(pairs.first, pairs.second, strict=True)}
    assert len(unordered) == len(pairs)


def test_all_possible_pairs_can_be_asked_for() -> None:
    pairs = make_pairs(np.repeat(np.arange(4), [3, 3, 2, 2]), 5, 2, 4)
    assert len(pairs) == 16
    with pytest.raises(DataError, match=r"fold \d must have 5 same pairs, its 2 .* make only 4"):
        make_pairs(np.repeat(np.arange(4), [3, 3, 2, 2]), 5, 2, 5)
    with pytest.raises(DataError, match=r"must have 11 different pairs, its 1 .* make only 10"):
        make_pairs(np.repeat(np.arange(4), [5, 5, 2, 2]), 5, 2, 11)


def test_identities_count_alike() -> None:
    """A person with fifty images is in no more pairs than one with ten."""
    counts = np.array([50, 10] * 20)
    pairs = make_pairs(np.repeat(np.arange(40), counts), 0, 2, 300)
    same = np.bincount(pairs.identity[pairs.first[pairs.same]])
    assert same.min() == same.max() == 15
    uses = np.bincount(pairs.identity[pairs.first[~pairs.same]], minlength=40) + np.bincount(
        pairs.identity[pairs.second[~pairs.same]], minlength=40
    )
    assert uses.max() <= 1.6 * uses.min()


def test_folds_are_alike() -> None:
    counts = np.array([100, 60, 30, 20, *[8] * 66])
    pairs = make_pairs(np.repeat(np.arange(70), counts), 1, 10, 150)
    people = [len(set(pairs.identity[pairs.first[pairs.fold == f]])) for f in range(10)]
    assert set(people) == {7}


def test_folds_hold_about_as_many_images() -> None:
    labels = np.repeat(
        np.arange(71), [*np.random.Generator(np.random.PCG64(0)).permutation(70) + 8, 1]
    )
    folds = deal_identities(labels, 0, 10)
    assert np.ptp(np.bincount(folds[folds >= 0])) < 12
    assert (folds == -1).sum() == 1


def test_seed_decides() -> None:
    labels = np.repeat(np.arange(40), 10)
    made = [rows_of(make_pairs(labels, seed, 10, 20)) for seed in (0, 0, 1)]
    assert made[0] == made[1]
    assert len(set(made[0]) & set(made[2])) < 100


def test_golden_pairs() -> None:
    """Rewards of a resumed run are measured on the same pairs: these never change."""
    assert rows_of(make_pairs(np.repeat(np.arange(4), 3), 0, 2, 2)) == [
        ("4", "5", 1, 0),
        ("10", "11", 1, 0),
        ("3", "11", 0, 0),
        ("4", "10", 0, 0),
        ("0", "1", 1, 1),
        ("6", "7", 1, 1),
        ("0", "7", 0, 1),
        ("0", "8", 0, 1),
    ]


@pytest.mark.parametrize(
    ("labels", "found"),
    [([*range(30)], "0 of 30"), (np.repeat(np.arange(19), 5), "19 of 19"), ([], "0 of 0")],
)
def test_too_few_identities(labels: list[int], found: str) -> None:
    message = f"20 identities with two images or more, {found} have them"
    with pytest.raises(DataError, match=message):
        make_pairs(labels, 0)


@pytest.mark.parametrize(("folds", "per_fold"), [(1, 300), (10, 0)])
def test_impossible_folds(folds: int, per_fold: int) -> None:
    with pytest.raises(DataError, match="2 folds or more and 1 pair or more"):
        make_pairs(np.repeat(np.arange(40), 10), 0, folds, per_fold)
