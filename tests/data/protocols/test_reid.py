from __future__ import annotations

from pathlib import Path

import generated_sets
import numpy as np
import pytest

from lfs_ray.data.protocols.locations import refuse_missing
from lfs_ray.data.protocols.reid import ReidSet, read_market1501, read_reid_csv
from lfs_ray.data.store import FolderStore
from lfs_ray.errors import DataError


def people_and_cameras(found: ReidSet) -> list[tuple[str, int, int]]:
    return [
        row
        for part in (found.query, found.gallery)
        for row in zip(part.keys, part.person_N.tolist(), part.camera_N.tolist(), strict=True)
    ]


def test_market1501(tmp_path: Path) -> None:
    folder = generated_sets.market1501(tmp_path)
    (folder / "query" / "Thumbs.db").write_bytes(b"")
    found = read_market1501(folder)
    assert (len(found.query), len(found.gallery), found.junk) == (22 * 2, 22 * 4 + 6, 6)
    assert found.query.keys[0] == "query/0002_c1s1_000000_00.jpg"
    refuse_missing(found.query.keys + found.gallery.keys, FolderStore(folder), "images")
    person = {key: number for key, number, _ in people_and_cameras(found)}
    camera = {key: number for key, _, number in people_and_cameras(found)}
    assert (
        person["query/0007_c2s1_000001_00.jpg"]
        == person["bounding_box_test/0007_c3s1_000002_00.jpg"]
    )
    assert (
        camera["query/0007_c2s1_000001_00.jpg"]
        == camera["bounding_box_test/0009_c2s1_000004_00.jpg"]
    )
    assert len(set(camera.values())) == 3
    assert not any(key.startswith("bounding_box_test/-1") for key in person)
    distractor = person["bounding_box_test/0000_c1s1_000000_00.jpg"]
    assert distractor not in found.query.person_N


def test_market1501_names_and_folders(tmp_path: Path) -> None:
    folder = generated_sets.market1501(tmp_path)
    (folder / "query" / "x.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r'like 0002_c1s1_000451_03\.jpg, got "query/x\.jpg"'):
        read_market1501(folder)
    with pytest.raises(DataError, match="query must be a folder of images, there is none"):
        read_market1501(folder / "query")


def test_csv(tmp_path: Path) -> None:
    folder = generated_sets.reid_csv(tmp_path)
    found = read_reid_csv(folder / "list.csv")
    assert (len(found.query), len(found.gallery), found.junk) == (24 * 2, 24 * 4, 0)
    refuse_missing(found.gallery.keys, FolderStore(folder / "images"), "images")
    for key, person, camera in people_and_cameras(found):
        assert key.startswith(f"Person_{chr(ord('A') + person)}/")
        assert camera == (int(key[-8:-4]) - 1) % 3


def write(folder: Path, text: str) -> Path:
    (folder / "x.csv").write_bytes(text.encode())
    return folder / "x.csv"


HEADER = "role,camera,person,path\r\n"


def test_csv_with_columns_in_another_order_junk_and_blanks(tmp_path: Path) -> None:
    rows = 'query,c1, Ann ,"a, 1.jpg"\r\ngallery,c 2,Ann,b 2.jpg\r\ngallery,c1,-1,j.jpg\r\n'
    found = read_reid_csv(write(tmp_path, HEADER + rows + "\r\n"))
    assert found.query.keys == ("a, 1.jpg",)
    assert found.gallery.keys == ("b 2.jpg",)
    assert np.array_equal(found.query.person_N, found.gallery.person_N)
    assert found.query.camera_N != found.gallery.camera_N
    assert found.junk == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 must name the columns path,person,camera,role, got $"),
        ("path,person,role\n", "must name the columns path,person,camera,role, got path,person"),
        (HEADER + "query,c1,Ann\n", "line 2 must have path, person, camera and a role"),
        (HEADER + "train,c1,Ann,a.jpg\n", "line 2 must have .* got a.jpg,Ann,c1,train"),
        (HEADER + "query,c1,Ann,a.jpg\n", "must have queries and a gallery, found 1 and 0"),
        (
            HEADER + "query,c1,Ann,a.jpg\ngallery,c1,Bob,b.jpg\n",
            "a person of a query in the gallery too, none is there",
        ),
        (HEADER + "query,c1,Ann,a.jpg\n" * 2 + "gallery,c1,Ann,b.jpg\n", 'a.jpg" comes twice'),
    ],
)
def test_csv_that_does_not_fit(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_reid_csv(write(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "x.csv"))
    assert "\n" not in str(caught.value)


def test_csv_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be a readable file"):
        read_reid_csv(tmp_path / "none.csv")
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="must be a CSV file in UTF-8"):
        read_reid_csv(tmp_path / "x.csv")
