from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import generated_sets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lfs_ray.data.protocols.locations import refuse_missing
from lfs_ray.data.protocols.megaface import (
    read_feature,
    read_features,
    read_megaface,
    write_feature,
)
from lfs_ray.data.protocols.probes import make_probe_set, read_probe_folders
from lfs_ray.data.protocols.trillion_pairs import read_trillion_pairs
from lfs_ray.data.store import FolderStore
from lfs_ray.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return generated_sets.megaface(tmp_path)


def test_lists_and_noise_lists(folder: Path) -> None:
    found = read_megaface(folder)
    assert len(found.probe_keys) == 8 * 6
    assert found.people == tuple(f"Person_{letter}" for letter in "ABCDEFGH")
    assert found.person_P.tolist() == [person for person in range(8) for _ in range(6)]
    assert len(found.distractor_keys) == 16 * 6
    refuse_missing(found.probe_keys, FolderStore(found.probe_root), "probes")
    refuse_missing(found.distractor_keys, FolderStore(found.distractor_root), "distractors")
    assert np.flatnonzero(found.noisy_probe_P).tolist() == [0]
    assert np.flatnonzero(found.noisy_distractor_D).tolist() == [0]
    assert read_megaface(folder, 10).distractor_keys == found.distractor_keys[:10]
    clean = found.without_noise()
    assert clean.probe_keys == found.probe_keys[1:]
    assert clean.distractor_keys == found.distractor_keys[1:]
    assert clean.person_P.tolist() == found.person_P[1:].tolist()
    assert not clean.noisy_probe_P.any()


def test_without_noise_lists_nothing_is_noise(folder: Path) -> None:
    (folder / "facescrub_noises.txt").unlink()
    (folder / "megaface_noises.txt").write_text("")
    found = read_megaface(folder)
    assert not found.noisy_probe_P.any()
    assert not found.noisy_distractor_D.any()


def test_noise_names_are_whole_parts_of_a_path(folder: Path) -> None:
    """A name counts by its last one to three parts, also after a number and a tab."""
    keys = read_megaface(folder).distractor_keys
    lines = [keys[3].split("/", 1)[1], f"17\t/{keys[5]}", keys[8][1:]]
    (folder / "megaface_noises.txt").write_text("\r\n".join(lines))
    found = read_megaface(folder)
    assert np.flatnonzero(found.noisy_distractor_D).tolist() == [3, 5]


def test_any_probe_and_distractor_folders(folder: Path) -> None:
    lists, found = (
        read_megaface(folder),
        read_probe_folders(folder / "facescrub", folder / "megaface"),
    )
    assert sorted(found.probe_keys) == sorted(lists.probe_keys)
    assert sorted(found.distractor_keys) == sorted(lists.distractor_keys)
    assert found.people == lists.people
    with pytest.raises(DataError, match="nowhere must be a folder of images, there is none"):
        read_probe_folders(folder / "nowhere", folder / "megaface")
    with pytest.raises(DataError, match="templatelists must hold images, it holds none"):
        read_probe_folders(folder / "facescrub", folder / "templatelists")
    (folder / "facescrub" / "loose.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"one folder a person, loose\.jpg lies directly in it"):
        read_probe_folders(folder / "facescrub", folder / "megaface")


def change_list(**columns: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        place = folder / "templatelists" / "facescrub_features_list.json"
        place.write_text(json.dumps(json.loads(place.read_text()) | columns))

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).rename(folder / "elsewhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_list(id=["a"]), 'must hold lists "path" and "id" of one length'),
        (change_list(path=7), 'must hold lists "path" and "id"'),
        (change_list(path=[7] * 48), 'must hold texts in "path"'),
        (
            change_list(id=[str(i) for i in range(48)]),
            "a person with two probes or more, found 48",
        ),
        (change_list(path=["x/y.jpg"] * 48), 'must name each image once, "x/y.jpg" comes twice'),
        (remove("templatelists"), "must hold the list of probes: templatelists/facescrub"),
        (remove("facescrub"), "must hold the probes: facescrub or facescrub_images"),
        (remove("megaface"), "must hold the distractors: megaface or megaface_images"),
        (
            lambda f: (f / "templatelists" / "facescrub_features_list.json").write_text("{"),
            "must be a readable JSON file",
        ),
        (lambda f: (f / "facescrub_noises.txt").write_bytes(b"\xff"), "must be UTF-8 text"),
    ],
)
def test_lists_that_do_not_fit(
    change: Callable[[Path], object], message: str, folder: Path
) -> None:
    change(folder)
    with pytest.raises(DataError, match=message) as caught:
        read_megaface(folder)
    assert "\n" not in str(caught.value)


def test_lists_of_other_lengths_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"json_7_1, found lists of 10, 96 distractors"):
        read_megaface(folder, 7)


def test_probes_and_people_must_be_as_many() -> None:
    with pytest.raises(
        DataError, match="x must give a person for each probe, found 1 probes and 2"
    ):
        make_probe_set(["a"], ["p", "p"], [], roots=("", ""), place="x")


@given(arrays.arrays(np.float32, st.integers(1, 20), elements=st.floats(-9, 9, width=32)))
def test_features_come_back(tmp_path_factory: pytest.TempPathFactory, feature: np.ndarray) -> None:
    file = tmp_path_factory.mktemp("f") / "a" / "b.jpg.bin"
    write_feature(file, feature)
    assert np.array_equal(read_feature(file), feature)
    assert file.read_bytes() == struct.pack(f"<4i{len(feature)}f", len(feature), 1, 4, 5, *feature)
    assert [place.name for place in file.parent.iterdir()] == ["b.jpg.bin"]


def test_features_by_key(tmp_path: Path) -> None:
    for number, key in enumerate(("p/a.jpg", "q/b.jpg")):
        write_feature(tmp_path / f"{key}_x.bin", [number, 1, 2])
    found = read_features(tmp_path, ["q/b.jpg", "p/a.jpg"], "_x.bin")
    assert found.tolist() == [[1, 1, 2], [0, 1, 2]]
    write_feature(tmp_path / "q/b.jpg_x.bin", [1, 2])
    with pytest.raises(DataError, match=r"one length, q/b.jpg has 2 values, p/a.jpg 3"):
        read_features(tmp_path, ["p/a.jpg", "q/b.jpg"], "_x.bin")
    with pytest.raises(DataError, match="got no keys"):
        read_features(tmp_path, [])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"abc",
        struct.pack("<4i2f", 2, 1, 4, 6, 0, 0),
        struct.pack("<4i2f", 3, 1, 4, 5, 0, 0),
        struct.pack("<4i2f", 1, 1, 4, 5, 0, 0),
        struct.pack("<4i", 0, 1, 4, 5),
        struct.pack("<4i", -4, 1, 4, 5),
    ],
)
def test_feature_files_that_are_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.bin").write_bytes(data)
    with pytest.raises(DataError, match=rf"must be 4 int32 .* in {len(data)} bytes"):
        read_feature(tmp_path / "x.bin")
    with pytest.raises(DataError, match="must be readable"):
        read_feature(tmp_path / "none.bin")


@pytest.mark.parametrize("feature", [[], [1, np.nan], [[1, 2]], [np.inf]])
def test_features_that_cannot_be_written(tmp_path: Path, feature: list[float]) -> None:
    with pytest.raises(DataError, match="must be finite values"):
        write_feature(tmp_path / "x.bin", feature)
    assert not list(tmp_path.iterdir())


def test_trillion_pairs(tmp_path: Path) -> None:
    folder = generated_sets.trillion_pairs(tmp_path)
    lists = folder / "probes.txt", folder / "distractors.txt"
    found = read_trillion_pairs(*lists, folder / "images")
    assert found.person_P.tolist() == [person for person in range(10) for _ in range(6)]
    assert len(found.distractor_keys) == 14 * 6
    keys = found.probe_keys + found.distractor_keys
    refuse_missing(keys, FolderStore(found.probe_root), "images")
    assert found.probe_root == found.distractor_root == str(folder / "images")
    with pytest.raises(DataError, match=r"all 145 images must be in .*, 1 are missing: no\.jpg$"):
        refuse_missing((*keys, "no.jpg"), FolderStore(found.probe_root), "images")
    lists[1].write_text("a\nb\n# c\na\n")
    with pytest.raises(DataError, match='"a" comes twice'):
        read_trillion_pairs(*lists, folder / "images")
    lists[1].unlink()
    with pytest.raises(DataError, match=r"list of distractors .* must be a readable file"):
        read_trillion_pairs(*lists, folder / "images")
