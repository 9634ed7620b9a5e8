from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import generated_sets
import numpy as np
import pytest

from lfs_ray.data.align import TEMPLATE_52, align
from lfs_ray.data.decode import decode_image
from lfs_ray.data.protocols.ijb import IjbSet, Templates, read_ijb
from lfs_ray.data.protocols.locations import refuse_missing
from lfs_ray.data.store import FolderStore
from lfs_ray.errors import DataError

PEOPLE = range(generated_sets.PEOPLE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return generated_sets.ijb(tmp_path)


def subjects(templates: Templates) -> dict[int, int]:
    return dict(zip(templates.template_T.tolist(), templates.subject_T.tolist(), strict=True))


def check(found: IjbSet) -> None:
    rows = list(generated_sets._ijb_rows())
    assert found.keys == tuple(row.image for row in rows)
    assert found.template_N.tolist() == [row.template for row in rows]
    assert found.media_N.tolist() == [row.media for row in rows]
    assert np.allclose(found.landmarks_N52 - TEMPLATE_52, [17, 23], atol=1e-3)
    assert found.detector_score_N.tolist() == [float(f"0.9{row.face[1]}") for row in rows]
    assert len(found.same_P) == 2 * len(PEOPLE) ** 2
    person = found.pair_first_P - 1000
    assert np.array_equal(found.same_P, (found.pair_second_P - 2000) // 2 == person)
    assert [subjects(gallery) for gallery in found.galleries] == [
        {1000 + person: 500 + person for person in PEOPLE if person % 2 == half} for half in (0, 1)
    ]
    assert found.probes is not None
    assert subjects(found.probes) == {2000 + t: 500 + t // 2 for t in range(2 * len(PEOPLE))}
    refuse_missing(found.keys, FolderStore(found.root), "images")


@pytest.mark.parametrize("name", ["ijbb", "ijbc"])
def test_both_sets_are_read(name: str, tmp_path: Path) -> None:
    folder = generated_sets.ijb(tmp_path, name)
    check(read_ijb(folder))
    check(read_ijb(folder, name))
    for file in (folder / "meta").iterdir():
        file.rename(folder / file.name)
    (folder / "meta").rmdir()
    check(read_ijb(folder))


def test_points_bring_the_face_to_its_place(folder: Path) -> None:
    found = read_ijb(folder)
    loose = decode_image(FolderStore(found.root).read(found.keys[3]))
    crop = align(loose, found.landmarks_N52[3])
    assert np.array_equal(crop, loose[23 : 23 + 112, 17 : 17 + 112])


def test_1n_may_be_absent(folder: Path) -> None:
    for file in (folder / "meta").glob("*_1N_*"):
        file.unlink()
    found = read_ijb(folder)
    assert found.galleries == ()
    assert found.probes is None


Change = Callable[[str], str]

FAULTS: dict[str, tuple[str, Change, str]] = {
    "image line": ("face_tid_mid.txt", lambda t: t + "9.jpg 7\n", 'line 145 must be "image templ'),
    "template": ("face_tid_mid.txt", lambda t: t.replace(" 1000 ", " x ", 1), "line 1 must be"),
    "twice": ("face_tid_mid.txt", lambda t: t.replace("2.jpg", "1.jpg", 1), '"1.jpg" comes twice'),
    "fewer points": (
        "name_5pts_score.txt",
        lambda t: t.split("\n", 1)[1],
        "must have a line for each of the 144 images, it has 143",
    ),
    "other order": (
        "name_5pts_score.txt",
        lambda t: t.replace("1.jpg", "0.jpg", 1),
        'line 1 must be of the image "1.jpg"',
    ),
    "point": (
        "name_5pts_score.txt",
        lambda t: t.replace("2.jpg 55", "2.jpg nan", 1),
        'line 2 must be "image x1 y1 ... x5 y5 score"',
    ),
    "score": ("name_5pts_score.txt", lambda t: t.replace(" 0.90\n", "\n", 1), "line 1 must be"),
    "pair": ("template_pair_label.txt", lambda t: "a b c\n" + t, "template template label"),
    "pair columns": ("template_pair_label.txt", lambda t: "1 2\n3 4\n", r"found \(2, 2\)"),
    "label": (
        "template_pair_label.txt",
        lambda t: t.replace(" 0\n", " 2\n", 1),
        "line 3 must end in the label 0 or 1, got 2",
    ),
    "no pairs": ("template_pair_label.txt", lambda t: "\n", "template template label"),
    "unknown template": (
        "template_pair_label.txt",
        lambda t: t + "1000 7 0\n",
        "every template of .* must have an image, 1 have none, the first is template 7",
    ),
    "unknown probe": (
        "1N_probe_mixed.csv",
        lambda t: t + "8,9,x\n",
        r"every template of .*probe_mixed\.csv .* the first is template 8",
    ),
    "two subjects": (
        "1N_gallery_G2.csv",
        lambda t: t + "1001,7,x\n",
        "must give template 1001 one subject, it gives 501 and 7",
    ),
    "csv line": ("1N_gallery_G1.csv", lambda t: t + "x,y\n", '"template,subject", got x,y'),
    "empty csv": ("1N_gallery_G1.csv", lambda t: "TEMPLATE_ID,SUBJECT_ID\n", "lists none"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_files_that_do_not_fit(fault: str, folder: Path) -> None:
    name, change, message = FAULTS[fault]
    file = folder / "meta" / f"ijbc_{name}"
    file.write_text(change(file.read_text()))
    with pytest.raises(DataError, match=message) as caught:
        read_ijb(folder)
    assert "\n" not in str(caught.value)
    assert file.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ijbc_face_tid_mid.txt", "must hold one file ijbb_face_tid_mid.txt .* found 0"),
        ("ijbc_name_5pts_score.txt", "must be a readable file"),
        ("ijbc_template_pair_label.txt", "must be a readable file, there is none"),
        ("ijbc_1N_gallery_G1.csv", "found 1 galleries and the probes"),
        ("ijbc_1N_probe_mixed.csv", "found 2 galleries and no probes"),
    ],
)
def test_missing_files(name: str, message: str, folder: Path) -> None:
    (folder / "meta" / name).unlink()
    with pytest.raises(DataError, match=message):
        read_ijb(folder)


def test_two_sets_in_one_folder_need_a_name(folder: Path) -> None:
    generated_sets.ijb(folder, "ijbb")
    with pytest.raises(DataError, match="found 2: say which by its name"):
        read_ijb(folder)
    check(read_ijb(folder, "ijbb"))
