"""Planted overlaps are found in each way; the cleaned list trains beside the same LMDB."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import sick_sets
from hypothesis import given
from hypothesis import strategies as st
from image_samples import encoded
from sick_sets import files, fresh_copy, packed, pixels_of

from lfs_ray.data.class_centres import Centres
from lfs_ray.data.cleaned_list import clean, write_cleaned
from lfs_ray.data.doctor.measuring import measure
from lfs_ray.data.doctor.opening import open_specimen
from lfs_ray.data.doctor.shared_names import plain_name, shared_names
from lfs_ray.data.overlap import (
    labels_named,
    match_centres,
    match_images,
    match_names,
    read_names,
)
from lfs_ray.data.pack import pack
from lfs_ray.data.sources import open_faces
from lfs_ray.errors import DataError


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sick_sets.write_faces(tmp_path_factory.mktemp("healthy") / "faces")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stranger") / "faces"
    return sick_sets.write_faces(root, seed=1, prefix="stranger")


def images_matched(train: Path, test: Path, by: str) -> dict[str, tuple[str, float]]:
    one, other = open_specimen(train), open_specimen(test)
    matches = match_images(one, measure(one), other, measure(other), by)
    return {match.name: (match.other_name, match.score) for match in matches}


@pytest.mark.parametrize(
    ("change", "by_pixels"),
    [(sick_sets.brighter, False), (lambda p: sick_sets.encoded(p, "PNG"), True)],
)
def test_a_shared_image_is_found(
    change: object, by_pixels: bool, healthy: Path, stranger: Path, tmp_path: Path
) -> None:
    test = fresh_copy(stranger, tmp_path)
    assert images_matched(healthy, test, "hash") == {}
    blob = change(pixels_of(files(healthy)[20]))  # type: ignore[operator]
    (test / "stranger_00" / "new.png").write_bytes(blob)
    found = images_matched(healthy, test, "hash")
    assert set(found) == {"person_03"}
    assert found["person_03"][0] == "stranger_00/new.png"
    assert 0.9 <= found["person_03"][1] <= 1
    pixels = images_matched(healthy, test, "pixels")
    assert pixels == ({"person_03": ("stranger_00/new.png", 1.0)} if by_pixels else {})


def test_every_image_of_a_repeated_picture_counts(healthy: Path, tmp_path: Path) -> None:
    """A picture that is twice in the training set and in the test set names both identities."""
    train, test = fresh_copy(healthy, tmp_path), tmp_path / "test"
    (test / "someone").mkdir(parents=True)
    source = files(train)[0]
    shutil.copy(source, train / "person_09" / "again.jpg")
    shutil.copy(source, test / "someone" / "a.jpg")
    for way in ("pixels", "hash"):
        assert set(images_matched(train, test, way)) == {"person_00", "person_09"}


def test_names_are_compared_without_case_and_underscores(healthy: Path) -> None:
    train = open_specimen(healthy)
    found = match_names(train, "list", ["PERSON 03", "Person__07", "nobody", "12"])
    assert [(match.name, match.other_name) for match in found] == [
        ("person_03", "PERSON 03"),
        ("person_07", "Person__07"),
    ]


@given(st.text(st.sampled_from("aB _-.'0\u00e9"), max_size=8))
def test_plain_names_are_a_form_of_their_own(name: str) -> None:
    assert plain_name(plain_name(name)) == plain_name(name)
    assert plain_name(name.upper()) == plain_name(name)
    assert plain_name(f"_{name} ") == plain_name(name)


def test_numbers_are_no_names() -> None:
    assert shared_names({0: "0001", 1: "ann"}, ["0001", "ANN"]) == [(1, "ann", "ANN")]
    assert shared_names({0: "a/0001", 1: "ann"}, ["b/0001"]) == []


def test_names_of_joined_sets_are_compared_without_the_source(tmp_path: Path) -> None:
    for source, people in (("one", ("ann", "bob")), ("two", ("ann", "cy"))):
        for person in people:
            (tmp_path / source / person).mkdir(parents=True)
            (tmp_path / source / person / "0.png").write_bytes(
                encoded(np.zeros((8, 8, 3), np.uint8), "PNG")
            )
    pack([tmp_path / "one", tmp_path / "two"], tmp_path / "joined")
    train = open_specimen(tmp_path / "joined")
    found = match_names(train, "list", ["Ann", "x/cy"])
    assert [(match.name, match.other_name) for match in found] == [
        ("one/ann", "Ann"),
        ("two/ann", "Ann"),
        ("two/cy", "x/cy"),
    ]
    assert labels_named(train, ["ann"], "list") == ({0, 2}, [])
    assert labels_named(train, ["two/ann", "x/bob"], "list") == ({2}, ["x/bob"])


def centres(rows: list[list[float]]) -> Centres:
    sums = np.array(rows, float)
    return Centres(np.arange(len(rows)), sums, np.full(len(rows), 2))


def test_near_centres_match_likest_first(healthy: Path, stranger: Path) -> None:
    train, other = open_specimen(healthy), open_specimen(stranger)
    own = centres([[1, 0], [3, 4], [-1, 0]])
    theirs = centres([[0.6, 0.8], [1, 0.1]])
    found = match_centres(train, own, other, theirs, 0.9)
    assert [(m.label, m.name, m.other_name, m.score) for m in found] == [
        (1, "person_01", "stranger_00", 1.0),
        (0, "person_00", "stranger_01", 0.995),
    ]
    assert match_centres(train, own, other, theirs, 0.9999)[0].label == 1


def test_published_lists_name_identities_or_labels(healthy: Path, tmp_path: Path) -> None:
    train = open_specimen(healthy)
    file = tmp_path / "overlap.txt"
    file.write_text("person_02\nPERSON 05\n\n7\nmissing one\n99\n")
    labels, unknown = labels_named(train, read_names(file), str(file))
    assert labels == {2, 5, 7}
    assert unknown == ["missing one", "99"]
    with pytest.raises(DataError, match="person_00"):
        labels_named(train, ["nobody"], "list")


def test_a_number_that_is_a_folder_names_the_folder(tmp_path: Path) -> None:
    """CASIA-WebFace names its people by numbers: 0000045 is no label."""
    for number in ("0000045", "0000099", "0000000"):
        (tmp_path / "faces" / number).mkdir(parents=True)
        (tmp_path / "faces" / number / "1.jpg").write_bytes(b"x")
    train = open_specimen(tmp_path / "faces")
    assert labels_named(train, ["0000045"], "list") == ({1}, [])


def test_names_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n \n")
    (tmp_path / "latin").write_bytes(b"Jos\xe9\n")
    for name in ("empty", "latin", "missing"):
        with pytest.raises(DataError, match=name):
            read_names(tmp_path / name)


def test_the_cleaned_list_is_a_training_list_beside_the_same_lmdb(
    healthy: Path, tmp_path: Path
) -> None:
    target = packed(fresh_copy(healthy, tmp_path))
    train = open_specimen(target)
    removed = {0: ["names: x"], 5: ["model: y", "hash: z"]}
    cleaned = clean(train, removed)
    write_cleaned(train, cleaned, removed, tmp_path / "clean.txt")
    before = open_faces([str(target)])
    after = open_faces([str(target)], [str(tmp_path / "clean.txt")])
    assert after.num_classes == before.num_classes - 2
    assert len(after) == len(before) - 2 * sick_sets.IMAGES
    assert before.people() - after.people() == {"person_00", "person_05"}
    after.check()
    rows = [
        line.split("\t") for line in (tmp_path / "clean.txt.labels.tsv").read_text().split("\n")
    ]
    assert rows[0] == ["label", "old_label", "name"]
    assert rows[1] == ["0", "1", "person_01"]
    assert rows[5] == ["4", "6", "person_06"]
    reasons = (tmp_path / "clean.txt.removed.tsv").read_text().splitlines()
    assert reasons[1:] == [
        "0\tperson_00\tnames: x",
        "5\tperson_05\tmodel: y",
        "5\tperson_05\thash: z",
    ]
    # Image by image, the new label is the class it had.
    old = dict(zip(before.keys, before.labels.tolist(), strict=True))
    for key, label in zip(after.keys, after.labels.tolist(), strict=True):
        assert int(cleaned.old_labels[label]) == old[key]


def test_images_without_a_usable_label_are_left_out(healthy: Path, tmp_path: Path) -> None:
    root = fresh_copy(healthy, tmp_path)
    rows = sick_sets.rows_of(root)
    rows[0] = (rows[0][0], "-4")
    rows.append(("gone.jpg", "3"))
    patient = sick_sets.listed(root, rows)
    cleaned = clean(open_specimen(patient.path, patient.list_file), set())
    assert cleaned.rows.tolist() == list(range(1, len(rows) - 1))


def test_something_must_stay_and_the_own_list_too(healthy: Path, tmp_path: Path) -> None:
    target = packed(fresh_copy(healthy, tmp_path))
    train = open_specimen(target)
    with pytest.raises(DataError, match="all 24"):
        clean(train, set(range(24)))
    before = (target / "list.txt").read_bytes()
    with pytest.raises(DataError, match="new file"):
        write_cleaned(train, clean(train, set()), {}, target / "list.txt")
    assert (target / "list.txt").read_bytes() == before
    assert not list(target.glob("*.tsv.*"))


def test_nothing_is_left_of_a_list_that_cannot_be_written(healthy: Path, tmp_path: Path) -> None:
    train = open_specimen(healthy)
    (tmp_path / "dst").mkdir()
    with pytest.raises(DataError, match="dst"):
        write_cleaned(train, clean(train, set()), {}, tmp_path / "dst")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
