from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import generated_sets
import numpy as np
import pytest
import scipy.io
from sklearn.model_selection import KFold

from lfs_ray.data.folds import consecutive_folds, dealt_folds
from lfs_ray.data.pair_lists import FORMATS, parse_pairs
from lfs_ray.data.pair_rows import PairRow
from lfs_ray.data.pairs import Pairs, check_images, drop_missing, read_pairs, shuffled_folds
from lfs_ray.data.store import FolderStore
from lfs_ray.errors import DataError

Row = tuple[int, bool, str, str]


def parse(folder: Path, text: str, format: str = "") -> list[PairRow]:
    (folder / "list.txt").write_bytes(text.encode())
    return parse_pairs(folder / "list.txt", format)


def plain(rows: list[PairRow]) -> list[Row]:
    return [tuple(row[:4]) for row in rows]


# Published layouts, end to end: list file, its format, folder of the images.
SETS: dict[str, tuple[Callable[[Path], Path], str, str, str]] = {
    "lfw": (generated_sets.lfw, "pairs.txt", "lfw", "images"),
    "lfw-development": (generated_sets.lfw, "pairsDevTest.txt", "lfw-development", "images"),
    "table": (generated_sets.table, "pairs.tsv", "table", "images"),
    "path-label": (generated_sets.path_label, "pair_list.txt", "path-label", "images"),
    "sllfw": (generated_sets.sllfw, "pair_SLLFW.txt", "two-paths", "images"),
    "calfw": (generated_sets.calfw, "pairs_CALFW.txt", "two-lines", "images"),
    "agedb": (generated_sets.agedb, "splits.mat", "agedb", "images"),
    "cfp-fp": (generated_sets.cfp, "Protocol/Split/FP", "cfp-fp", "Data/Images"),
    "cfp-ff": (generated_sets.cfp, "Protocol/Split/FF", "cfp-ff", "Data/Images"),
    "rfw": (generated_sets.rfw, "txts/African/African_pairs.txt", "lfw-bare", "data/African"),
}


@pytest.mark.parametrize("name", SETS)
def test_every_layout_is_recognised_and_its_images_are_found(name: str, tmp_path: Path) -> None:
    write, place, format, images = SETS[name]
    folder = write(tmp_path)
    pairs = read_pairs(folder / place)
    check_images(pairs, FolderStore(folder / images))
    per_kind = [generated_sets.PER_KIND] * generated_sets.FOLDS
    for kind in (True, False):
        assert np.bincount(pairs.fold[pairs.same == kind]).tolist() == per_kind
    assert np.array_equal(
        pairs.identity[pairs.first] == pairs.identity[pairs.second], pairs.same
    ) or name in ("calfw", "agedb")  # no names there: people are known by their same pairs
    assert (pairs.identity[pairs.first] == pairs.identity[pairs.second])[pairs.same].all()
    assert parse_pairs(folder / place, format) == parse_pairs(folder / place)


@pytest.mark.parametrize("name", ["lfw", "path-label", "sllfw", "calfw", "agedb", "rfw"])
def test_every_layout_shows_the_pairs_that_were_written(name: str, tmp_path: Path) -> None:
    write, place, *_ = SETS[name]
    written = generated_sets.dealt_pairs()
    key_of = {
        "calfw": generated_sets._flat_key,
        "agedb": lambda p, i: generated_sets._agedb_name(p, i) + ".jpg",
        "rfw": lambda p, i: generated_sets._lfw_key(p, i, "m.0"),
    }.get(name, generated_sets._lfw_key)
    rows = plain(parse_pairs(write(tmp_path) / place))
    expected = [(p.fold, p.same, key_of(*p.a), key_of(*p.b)) for p in written]
    # CALFW lists all same pairs first; dealt again, every pair is back in its fold.
    assert sorted(rows) == sorted(expected)
    assert (rows == expected) == (name != "calfw")


def test_cfp_numbers_mean_frontal_and_profile_images(tmp_path: Path) -> None:
    folder = generated_sets.cfp(tmp_path) / "Protocol"
    (folder / "Split/FP/01/same.txt").write_text("1,1\r\n6 , 3\r\n")
    rows = plain(parse_pairs(folder, "cfp-fp"))
    assert rows[:2] == [
        (0, True, "001/frontal/01.jpg", "001/profile/01.jpg"),
        (0, True, "002/frontal/02.jpg", "002/profile/01.jpg"),
    ]
    fold_1_different = parse_pairs(folder, "cfp-ff")[generated_sets.PER_KIND]
    assert not fold_1_different.same
    assert "/frontal/" in fold_1_different.b
    assert parse_pairs(folder.parent, "cfp-fp") == parse_pairs(folder, "cfp-fp")
    with pytest.raises(DataError, match=r'say which of its two, format "cfp-fp" or "cfp-ff"'):
        parse_pairs(folder)
    (folder / "Split/FP/10/diff.txt").unlink()
    with pytest.raises(DataError, match=r"FP/10/diff.txt must be a readable file"):
        parse_pairs(folder, "cfp-fp")
    (folder / "Split/FF/03/same.txt").write_text("1,2\n1,97\n")
    with pytest.raises(DataError, match=r'FF/03/same.txt line 2 must be "i,j".*got "1,97"'):
        parse_pairs(folder, "cfp-ff")
    with pytest.raises(DataError, match="must be the Protocol folder of CFP, it has no folder"):
        parse_pairs(tmp_path / "Data" / "Images", "cfp-ff")


AGEDB = {
    "by rows": lambda a, b, label: [[x, y, z] for x, y, z in zip(a, b, label, strict=True)],
    "by columns": lambda a, b, label: [a, b, label],
    "as a struct": lambda a, b, label: {"first": a, "second": b, "label": label},
    "deeply": lambda a, b, label: [
        [[[[x]], [[y]]], [[z]]] for x, y, z in zip(a, b, label, strict=True)
    ],
}


def cells(value: object) -> object:
    """Nested lists as MATLAB cells."""
    if isinstance(value, dict):
        return {key: cells(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    array = np.empty(len(value), object)
    for place, item in enumerate(value):
        array[place] = cells(item)
    return array


@pytest.mark.parametrize("nesting", AGEDB)
def test_agedb_lists_are_read_however_their_cells_are_nested(nesting: str, tmp_path: Path) -> None:
    first = [f"{row}_A_30_m" for row in range(4)]
    second = ["9_A_60_m", "8_B_60_m.jpg", "7_A_70_m", "6_B_50_m"]
    fold = AGEDB[nesting](first, second, [1, -1, 1, -1])
    scipy.io.savemat(tmp_path / "x.mat", {"splits": cells([fold] * 10)})
    rows = parse_pairs(tmp_path / "x.mat")
    assert len(rows) == 40
    assert plain(rows)[5] == (1, False, "1_A_30_m.jpg", "8_B_60_m.jpg")
    assert plain(rows)[-2] == (9, True, "2_A_30_m.jpg", "7_A_70_m.jpg")
    assert rows[5].place == f"{tmp_path / 'x.mat'} fold 2 pair 2"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": 1}, 'must hold a field "splits" of 10 folds, found none'),
        ({"splits": cells([["a", "b", 1]] * 9)}, 'field "splits" of 10 folds, found one of 9'),
        ({"splits": cells([["a", "b"]] * 10)}, r"fold 1 must hold pairs of \(name, name, label\)"),
        ({"splits": cells([["a", 1, "b"]] * 10)}, "fold 1 must hold pairs"),
        ({"splits": 7}, 'field "splits" of 10 folds, found one of 1'),
    ],
)
def test_agedb_lists_that_do_not_fit(
    content: dict[str, object], message: str, tmp_path: Path
) -> None:
    scipy.io.savemat(tmp_path / "x.mat", content)
    with pytest.raises(DataError, match=message):
        parse_pairs(tmp_path / "x.mat")


def test_files_that_are_no_matlab_files(tmp_path: Path) -> None:
    for content in (b"", b"no MATLAB", b"MATLAB 7.3 MAT-file" + b"\0" * 200):
        (tmp_path / "x.mat").write_bytes(content)
        with pytest.raises(DataError, match="must be a MATLAB file of version 7") as caught:
            parse_pairs(tmp_path / "x.mat")
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="must be a readable file"):
        parse_pairs(tmp_path / "none.mat")


def two_lines(num_same: int, num_different: int, ends: str = "\n") -> str:
    same = "".join(f"s{i}_1.jpg 4{ends}s{i}_2.jpg 9{ends}" for i in range(num_same))
    return same + "".join(f"d{i}_1.jpg 0{ends}e{i}_2.jpg 9{ends}" for i in range(num_different))


def test_two_lines_are_dealt_again(tmp_path: Path) -> None:
    """The k-th block of the same and of the different pairs; the first flag of a pair counts."""
    rows = parse(tmp_path, two_lines(30, 25, "\r\n"))
    assert [row.same for row in rows] == [True] * 30 + [False] * 25
    assert [row.fold for row in rows[:30]] == [place // 3 for place in range(30)]
    assert [row.fold for row in rows[30:]] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3 + [
        fold for fold in range(5, 10) for _ in range(2)
    ]
    assert plain(rows)[1] == (0, True, "s1_1.jpg", "s1_2.jpg")
    assert rows[1].place == f"{tmp_path / 'list.txt'} line 3"


def test_two_lines_with_blanks_in_names(tmp_path: Path) -> None:
    text = (
        two_lines(10, 10)
        .replace("s0_1.jpg 4", "s 0 1.jpg\t4")
        .replace("s0_2.jpg 9", "s 0 2.jpg 9")
    )
    rows = parse(tmp_path, text, "two-lines")
    assert plain(rows)[0] == (0, True, "s 0 1.jpg", "s 0 2.jpg")


def test_blocks_in_order(tmp_path: Path) -> None:
    """23 pairs: three folds get one more; labels 1, 0 and -1; tabs let names hold blanks."""
    text = "".join(f"a {i}\tb{i}\t{(1, 0, -1)[i % 3]}\r\n\r\n" for i in range(23))
    rows = parse(tmp_path, text)
    assert np.bincount([row.fold for row in rows]).tolist() == [3] * 3 + [2] * 7
    assert [row.fold for row in rows] == sorted(row.fold for row in rows)
    assert [row.same for row in rows] == [i % 3 == 0 for i in range(23)]
    assert plain(rows)[4] == (1, False, "a 4", "b4")
    assert rows[4].place.endswith("list.txt line 9")


def test_a_first_line_may_be_a_different_pair(tmp_path: Path) -> None:
    rows = parse(tmp_path, "m.1\t1\tm.2\t2\n" + "m.1\t1\t2\n" * 19)
    assert plain(rows)[0] == (0, False, "m.1/m.1_0001.jpg", "m.2/m.2_0002.jpg")
    assert plain(rows)[19] == (9, True, "m.1/m.1_0001.jpg", "m.1/m.1_0002.jpg")


TEN = "a/1 a/2 1\n" * 10


@pytest.mark.parametrize(
    ("text", "format", "message"),
    [
        (TEN + "a/1 a/2\n", "", 'line 11 must be "path1 path2 label" .* got "a/1 a/2"'),
        (TEN + "a/1 a/2 yes\n", "", 'line 11 must be "path1 path2 label" with label 1, 0 or -1'),
        (TEN + "a/1 a b/2 1\n", "", r"line 11 must .* \(tabs where names hold blanks\)"),
        (TEN + "a/1\t\t1\n", "", "line 11 must be"),
        ("a/1 a/2 1\n" * 9, "", "line 9 ends a list that must have at least 10 pairs.* found 9"),
        ("m 1 2\n" * 9, "", "line 9 ends a list that must have at least 10 pairs"),
        ("m 1 2\n" * 10 + "m 1 x 2 5\n", "", "line 11 must be a different pair"),
        (two_lines(10, 9), "", "at least 10 different pairs, one a fold, found 9"),
        (two_lines(9, 10), "", "at least 10 same pairs, one a fold, found 9"),
        (two_lines(10, 10) + "x.jpg 1\n", "", "line 41 must have a partner: .* number is odd"),
        (two_lines(10, 10) + "x.jpg\n", "", 'line 41 must be "image flag"'),
        (two_lines(10, 10) + "x.jpg -1\n", "", 'line 41 must be "image flag"'),
        ("a/1\na/2\n" * 9, "", "line 18 ends a list that must have at least 10 pairs"),
        ("a/1\na/2\n" * 10 + "a/1\n", "", "line 21 must have a partner"),
        ("a/1\na/2\n" * 10 + "b\n", "", 'line 21 must be "name/image", got "b"'),
        ("what is this\n", "", 'line 1 must be the header "fold same a b", .* or "name/image"'),
        (TEN, "lfw", 'line 1 must be "folds pairs", got "a/1 a/2 1"'),
        (TEN, "lfw-development", 'line 1 must be the number of "pairs"'),
        (TEN, "table", 'line 1 must be the header "fold same a b"'),
        (TEN, "pairs", 'must be one of table, lfw, .*, cfp-ff, got "pairs"'),
    ],
)
def test_lists_that_do_not_fit(tmp_path: Path, text: str, format: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        parse(tmp_path, text, format)
    assert "\n" not in str(caught.value)
    if format != "pairs":
        assert str(caught.value).startswith(str(tmp_path / "list.txt"))


def test_lists_of_one_kind_are_refused_with_their_lines(tmp_path: Path) -> None:
    for label, kind, other in ((1, "same", "different"), (0, "different", "same")):
        (tmp_path / "list.txt").write_text(f"x y {label}\n" * 12)
        with pytest.raises(DataError) as caught:
            read_pairs(tmp_path / "list.txt")
        assert str(caught.value) == (
            f"pair list {tmp_path / 'list.txt'} must list same and different pairs, all 12 are "
            f"{kind}, from {tmp_path / 'list.txt'} line 1 on: add {other} ones"
        )


def test_every_format_has_a_name() -> None:
    assert {format for *_, format, _ in SETS.values()} == set(FORMATS)


def test_folds_are_those_of_scikit_learn() -> None:
    for count in (10, 23, 600, 6001):
        folds = consecutive_folds(count)
        splits = KFold(10).split(np.zeros(count))
        for fold, (_, held_out) in enumerate(splits):
            assert np.flatnonzero(folds == fold).tolist() == held_out.tolist()


def test_dealt_folds_take_the_kth_block_of_each_kind() -> None:
    same = np.array([True] * 3000 + [False] * 3000)
    folds = dealt_folds(same)
    for fold in range(10):
        block = np.arange(300 * fold, 300 * (fold + 1))
        assert np.flatnonzero(folds == fold).tolist() == [*block, *(3000 + block)]


def test_shuffled_folds(tmp_path: Path) -> None:
    place = generated_sets.path_label(tmp_path) / "pair_list.txt"
    kept, one, again, other = (read_pairs(place, shuffle_seed=s) for s in (None, 1, 1, 2))
    assert np.array_equal(one.fold, again.fold)
    assert not np.array_equal(one.fold, kept.fold)
    assert not np.array_equal(one.fold, other.fold)
    assert one.keys == kept.keys
    for kind in (True, False):
        assert np.bincount(one.fold[one.same == kind]).tolist() == [6] * 10
    few = shuffled_folds(np.array([True, False] * 4), np.repeat([0, 1], 4), 0)
    assert sorted(few.tolist()) == [0] * 4 + [1] * 4


def rows_of(pairs: Pairs) -> list[tuple[str, str, bool, int]]:
    return [
        (pairs.keys[a], pairs.keys[b], bool(same), int(fold))
        for a, b, same, fold in zip(pairs.first, pairs.second, pairs.same, pairs.fold, strict=True)
    ]


def test_pairs_with_missing_images_are_left_out_on_request(tmp_path: Path) -> None:
    folder = generated_sets.table(tmp_path)
    pairs, store = read_pairs(folder / "pairs.tsv"), FolderStore(folder / "images")
    assert drop_missing(pairs, store) == (pairs, 0)
    lost = {pairs.keys[0], pairs.keys[7]}
    for key in lost:
        (folder / "images" / key).unlink()
    left, count = drop_missing(pairs, store)
    expected = [row for row in rows_of(pairs) if not lost & set(row[:2])]
    assert rows_of(left) == expected
    assert count == len(pairs) - len(expected) > 0
    check_images(left, store)
    assert set(left.keys) == {key for row in expected for key in row[:2]}
    person = dict(zip(pairs.keys, pairs.identity.tolist(), strict=True))
    assert left.identity.tolist() == [person[key] for key in left.keys]
    with pytest.raises(DataError, match="some of the 120 pairs must have both images in"):
        drop_missing(pairs, FolderStore(tmp_path / "Protocol"))
