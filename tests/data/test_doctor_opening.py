"""Sets of every kind are opened for examination, and read as training reads them."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import sick_sets
from image_samples import encoded, pixels_of, write_lmdb
from recordio_writer import payload, write_records
from sick_sets import files, fresh_copy, packed

from lfs_ray.data import datum
from lfs_ray.data.datum_pb2 import Datum
from lfs_ray.data.decode import decode_image
from lfs_ray.data.doctor.examining import examine
from lfs_ray.data.doctor.opening import open_specimen
from lfs_ray.errors import DataError


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sick_sets.write_faces(tmp_path_factory.mktemp("healthy") / "faces")


def test_all_forms_of_a_set_hold_the_same_images(healthy: Path, tmp_path: Path) -> None:
    root = fresh_copy(healthy, tmp_path)
    records = sick_sets.records_of(root)
    write_records(tmp_path / "rec" / "train.rec", records) if (
        (tmp_path / "rec").mkdir() is None
    ) else None
    patient = sick_sets.listed(root, sick_sets.rows_of(root))
    forms = {
        "image folder": open_specimen(root),
        "packed set": open_specimen(packed(root)),
        "RecordIO file": open_specimen(tmp_path / "rec" / "train.rec"),
        "list of image files": open_specimen(root, patient.list_file),
    }
    wanted = forms["image folder"]
    for form, specimen in forms.items():
        assert specimen.form == form
        assert np.array_equal(specimen.labels, wanted.labels)
        for place in (0, 77, len(wanted) - 1):
            assert specimen.fetch(place) == wanted.fetch(place)
    assert open_specimen(tmp_path / "rec").form == "RecordIO file"
    names = {form: list(s.identities().values()) for form, s in forms.items()}
    assert names["packed set"] == names["image folder"] == names["list of image files"]


def test_folders_in_folders_and_loose_images(tmp_path: Path) -> None:
    for place in ("b/x", "a", ""):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "1.jpg").write_bytes(encoded(pixels_of(len(place))))
    (tmp_path / "a" / ".hidden.jpg").write_bytes(b"")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    specimen = open_specimen(tmp_path)
    assert dict(zip(specimen.keys, specimen.labels.tolist(), strict=True)) == {
        "1.jpg": -1,
        "a/1.jpg": 0,
        "b/x/1.jpg": 1,
    }
    assert specimen.identities() == {0: "a", 1: "b/x"}
    assert "1 images without a usable label" in dict(examine(specimen).facts())["identities"]


def test_file_names_that_are_no_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/p\xff"
    os.mkdir(folder)
    with open(folder + b"/1.jpg", "wb") as file:
        file.write(encoded(pixels_of(1)))
    specimen = open_specimen(tmp_path)
    assert list(specimen.keys) == ["p\\xff/1.jpg"]
    assert decode_image(specimen.fetch(0)).shape == (16, 16, 3)  # type: ignore[arg-type]


def test_an_lmdb_without_a_list_has_the_labels_of_its_messages(tmp_path: Path) -> None:
    planes = pixels_of(3)[..., ::-1].transpose(2, 0, 1)
    raw = Datum(channels=3, height=16, width=16, data=planes.tobytes(), label=4)
    values = {
        "a/1.jpg": datum.encode(encoded(pixels_of(1), "PNG"), 2),
        "b/1": raw.SerializeToString(),
        "c/1": b"\xff no message",
    }
    specimen = open_specimen(write_lmdb(tmp_path / "set.lmdb", values))
    assert specimen.labels.tolist() == [2, 4, -1]
    assert np.array_equal(specimen.image(0), pixels_of(1))
    assert np.array_equal(specimen.image(1), pixels_of(3))
    assert np.array_equal(specimen.image(1, "bgr"), pixels_of(3)[..., ::-1])
    found = {finding.name: finding.count for finding in examine(specimen).findings}
    assert found["undecodable-images"] == 1
    assert found["label-gaps"] == 3


def test_tars_are_opened_as_for_packing(healthy: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "faces.tar", "w") as tar:
        for number, file in enumerate(files(healthy)[:12]):
            tar.add(file, f"{number:04d}.jpg")
            label = tmp_path / "label"
            label.write_text(str(number // 6))
            tar.add(label, f"{number:04d}.cls")
    specimen = open_specimen(tmp_path / "faces.tar")
    assert specimen.labels.tolist() == [0] * 6 + [1] * 6
    assert specimen.fetch(3) == files(healthy)[3].read_bytes()
    assert examine(specimen).is_healthy


def test_im2rec_lists(healthy: Path, tmp_path: Path) -> None:
    rows = sick_sets.rows_of(healthy)
    lines = [f"{place}\t{label}.0\t{key}\n" for place, (key, label) in enumerate(rows)]
    lines[4] = f"4\t0.25\t{rows[4][0]}\n"
    lines[9] = "9\tno number\tx.jpg\n"
    (tmp_path / "faces.lst").write_text("".join(lines))
    report = examine(open_specimen(healthy, str(tmp_path / "faces.lst")))
    assert {f.name for f in report.findings} == {"fractional-labels", "unreadable-lines"}
    assert len(report.specimen) == len(rows) - 1


def test_windows_lists_and_keys_with_blanks(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "1 2.jpg").write_bytes(encoded(pixels_of(1)))
    (tmp_path / "faces.txt").write_bytes(b"\xef\xbb\xbfa b/1 2.jpg\t0\r\n\r\nnope 1.5\r\n")
    specimen = open_specimen(tmp_path / "faces.txt")
    assert list(specimen.keys) == ["a b/1 2.jpg", "nope"]
    assert specimen.written_labels.tolist() == [0, 1.5]
    assert specimen.absent.tolist() == [False, True]


def test_vector_labels_and_fractions_of_records(tmp_path: Path) -> None:
    image = encoded(pixels_of(1))
    records = {1: payload((3.0, 9.0), image), 2: payload(1.5, image), 3: payload(-2.0, image)}
    write_records(tmp_path / "a.rec", records)
    specimen = open_specimen(tmp_path / "a.rec")
    assert specimen.written_labels.tolist() == [3, 1.5, -2]
    assert list(specimen.keys) == ["00000001", "00000002", "00000003"]
    assert [specimen.fetch(place) for place in range(3)] == [image] * 3


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("bad.rec", b"not a record file", "RecordIO"),
        ("bad.bin", b"not a pickle", "bin"),
        ("bad.txt", b"\n\n", "path label"),
        ("cut.mdb", b"\0" * 16 + b"\xde\xc0\xef\xbe" + b"\0" * 100, "LMDB"),
    ],
)
def test_refuses_in_one_line(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says) as caught:
        open_specimen(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_several_record_files_in_a_folder_are_told(tmp_path: Path) -> None:
    for name in ("a.rec", "b.rec"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.rec, b\.rec"):
        open_specimen(tmp_path)


def test_a_hostile_bin_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "evil.bin").write_bytes(b"cos\nsystem\n(S'touch " + b"x'\ntR.")
    with pytest.raises(DataError):
        open_specimen(tmp_path / "evil.bin")
