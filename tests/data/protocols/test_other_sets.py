from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import generated_sets
import numpy as np
import pytest
import scipy.io

from lfs_ray.data.pack import pack
from lfs_ray.data.pairs import check_images, read_pairs
from lfs_ray.data.protocols.classification import read_classification
from lfs_ray.data.protocols.locations import refuse_missing
from lfs_ray.data.protocols.rfw import GROUPS, is_rfw, read_rfw
from lfs_ray.data.protocols.tinyface import read_tinyface
from lfs_ray.data.store import FolderStore
from lfs_ray.errors import DataError


def test_tinyface(tmp_path: Path) -> None:
    folder = generated_sets.tinyface(tmp_path)
    found = read_tinyface(folder)
    assert (len(found.probe_keys), len(found.gallery_keys), len(found.distractor_keys)) == (
        54,
        54,
        36,
    )
    keys = found.probe_keys + found.gallery_keys + found.distractor_keys
    refuse_missing(keys, FolderStore(found.root), "images")
    assert set(found.probe_person_P) == set(found.gallery_person_G)
    for key, person in zip(found.probe_keys, found.probe_person_P.tolist(), strict=True):
        mates = [
            k
            for k, p in zip(found.gallery_keys, found.gallery_person_G, strict=True)
            if p == person
        ]
        name = key.split("/")[1].split("_")[0]
        assert {mate.split("/")[1].split("_")[0] for mate in mates} == {name}
    assert read_tinyface(folder / "Testing_Set").probe_keys == found.probe_keys


def test_tinyface_without_its_lists_goes_by_file_names(tmp_path: Path) -> None:
    folder = generated_sets.tinyface(tmp_path)
    listed = read_tinyface(folder)
    for file in (folder / "Testing_Set").glob("*.mat"):
        file.unlink()
    found = read_tinyface(folder)
    for keys, people in (("probe_keys", "probe_person_P"), ("gallery_keys", "gallery_person_G")):
        mine = dict(zip(getattr(found, keys), getattr(found, people), strict=True))
        other = dict(zip(getattr(listed, keys), getattr(listed, people), strict=True))
        assert mine.keys() == other.keys()
        assert len({(mine[key], other[key]) for key in mine}) == len(set(mine.values()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"probe_set": np.array(["1_0.jpg"], object)}, "of one length, found 1 and 0"),
        ({}, "probe_set and probe_ids of one length, found 0 and 0"),
        (
            {"probe_set": np.array(["1_0.jpg", "x.jpg"], object), "probe_ids": np.array([1, 99])},
            'must be in the gallery of .*, 1 are not, the first is "99"',
        ),
        (
            {"probe_set": np.array(["x.jpg", "x.jpg"], object), "probe_ids": np.array([1, 1])},
            'must name each image once, "Probe/x.jpg" comes twice',
        ),
    ],
)
def test_tinyface_lists_that_do_not_fit(
    content: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    folder = generated_sets.tinyface(tmp_path)
    scipy.io.savemat(folder / "Testing_Set" / "probe_img_ID_pairs.mat", content)
    with pytest.raises(DataError, match=message):
        read_tinyface(folder)


def test_tinyface_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold the probes of TinyFace: Testing_Set/Probe or"):
        read_tinyface(tmp_path)


def test_rfw_gives_four_groups(tmp_path: Path) -> None:
    folder = generated_sets.rfw(tmp_path)
    assert is_rfw(folder)
    found = read_rfw(folder)
    assert tuple(found) == GROUPS
    for group, pairs in found.items():
        check_images(pairs, FolderStore(folder / "data"))
        alone = read_pairs(folder / "txts" / group / f"{group}_pairs.txt")
        assert pairs.keys == tuple(f"{group}/{key}" for key in alone.keys)
        assert np.array_equal(pairs.fold, alone.fold)
        assert len(set(pairs.identity.tolist())) == len(pairs.people()) == 24
    assert found["Asian"].keys != found["Indian"].keys


@pytest.mark.parametrize("place", ["{0}/{0}_pairs.txt", "{0}_pairs.txt", "{0}.txt"])
def test_rfw_lists_in_other_places(place: str, tmp_path: Path) -> None:
    folder = generated_sets.rfw(tmp_path / "a")
    expected = read_rfw(folder)
    for group in GROUPS:
        target = tmp_path / "b" / place.format(group)
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / "txts" / group / f"{group}_pairs.txt").rename(target)
    assert not is_rfw(folder)
    found = read_rfw(tmp_path / "b")
    assert [pairs.keys for pairs in found.values()] == [pairs.keys for pairs in expected.values()]
    with pytest.raises(DataError, match="must hold RFW's list of the group African: txts/African"):
        read_rfw(folder)


def pack_it(folder: Path) -> Path:
    pack(folder, folder.parent / "packed")
    return folder.parent / "packed"


@pytest.mark.parametrize("prepare", [lambda folder: folder, pack_it], ids=["folder", "packed"])
def test_classification(prepare: Callable[[Path], Path], tmp_path: Path) -> None:
    place = prepare(generated_sets.class_folders(tmp_path / "classes"))
    found = read_classification(place)
    assert found.class_names == tuple(f"Person_{chr(ord('A') + p)}" for p in range(24))
    assert len(found.keys) == 24 * 6
    for key, label in zip(found.keys, found.label_N.tolist(), strict=True):
        assert key.startswith(f"{found.class_names[label]}/")
    backwards = tuple(reversed(("more", *found.class_names)))
    assert found.labels_among(backwards).tolist() == [23 - label for label in found.label_N]
    with pytest.raises(
        DataError, match=r'24 classes must be .* 1 are not, the first is "Person_A"'
    ):
        found.labels_among(found.class_names[1:])


def test_classification_labels_are_ranks_in_string_order(tmp_path: Path) -> None:
    for name in ("2", "10", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").write_bytes(b"")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "0.png").write_bytes(b"")
    assert read_classification(tmp_path).class_names == ("10", "2", "b")
    (tmp_path / "loose.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"one folder a class, loose\.png lies directly in it"):
        read_classification(tmp_path)


def test_a_packed_set_with_other_names(tmp_path: Path) -> None:
    place = pack_it(generated_sets.class_folders(tmp_path / "classes"))
    (place / "labels.tsv").write_text("a\t0\nb\t1\n")
    with pytest.raises(DataError, match=r"labels\.tsv must name 24 classes, it names 2"):
        read_classification(place)
    (place / "labels.tsv").unlink()
    assert read_classification(place).class_names == tuple(map(str, range(24)))
