"""Every fault is found under its own name when it is planted alone; healthy sets have none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sick_sets
from recordio_writer import write_records
from sick_sets import PLANTED, Patient, files, fresh_copy, packed, pair_list, pair_rows

from lfs_ray.data.doctor.examining import Report, examine
from lfs_ray.data.doctor.finding import FINDINGS
from lfs_ray.data.doctor.opening import open_specimen
from lfs_ray.data.doctor.pair_checks import check_pair_list
from lfs_ray.data.landmarks import read_landmarks
from lfs_ray.data.store import open_store
from lfs_ray.errors import DataError

BY_MODEL = {"swapped-colours-by-model", "likely-mislabels", "alike-classes"}
"""Found with embeddings: test_doctor_model_checks.py."""


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sick_sets.write_faces(tmp_path_factory.mktemp("healthy") / "faces")


def examined(patient: Patient) -> Report:
    report = examine(
        open_specimen(patient.path, patient.list_file),
        [open_specimen(other) for other in patient.against],
        landmarks=read_landmarks(patient.landmarks) if patient.landmarks else None,
    )
    if patient.pairs:
        return report.with_findings(check_pair_list(patient.pairs, open_store(patient.path)))
    return report


@pytest.mark.parametrize(
    ("name", "plant"),
    [(name, plant) for name, plants in PLANTED.items() for plant in plants],
    ids=[f"{name}-{n}" for name, plants in PLANTED.items() for n, _ in enumerate(plants)],
)
def test_finds_a_planted_fault(
    name: str, plant: Callable[[Path], Patient], healthy: Path, tmp_path: Path
) -> None:
    patient = plant(fresh_copy(healthy, tmp_path))
    report = examined(patient)
    assert {finding.name for finding in report.findings} == {name, *patient.also}
    first = next(finding for finding in report.findings if finding.name == name)
    assert first.count >= 1
    assert first.examples or first.detail
    faults = {found.name for found in report.findings if found.severity == "fault"}
    assert report.is_healthy == (not faults)


def test_every_finding_is_planted() -> None:
    assert set(PLANTED) | BY_MODEL == set(FINDINGS)


def test_finds_nothing_in_healthy_sets(healthy: Path, tmp_path: Path) -> None:
    root = fresh_copy(healthy, tmp_path)
    records = sick_sets.records_of(root)
    write_records(tmp_path / "classic.rec", records)
    write_records(tmp_path / "plain.rec", sick_sets.without_identities(records))
    write_records(tmp_path / "bare.rec", sick_sets.without_identities(records), indexed=False)
    other = sick_sets.other_set(root)
    for patient in (
        Patient(root),
        Patient(packed(root)),
        Patient(root, against=[other]),
        Patient(tmp_path / "classic.rec"),
        Patient(tmp_path / "plain.rec"),
        Patient(tmp_path / "bare.rec"),
        sick_sets.listed(root, sick_sets.rows_of(root)),
        sick_sets.bin_set(40, [True, False] * 10)(root),
        sick_sets.landmarks(0)(root),
        pair_list(pair_rows)(root),
        Patient(sick_sets.write_aligned(tmp_path / "aligned")),
        Patient(sick_sets.write_aligned(tmp_path / "nearly", prefix="b", right_px=2, scale=1.05)),
    ):
        report = examined(patient)
        assert report.findings == (), patient
        assert report.is_healthy
        assert report.measured.decoded.all()


def test_counts_and_examples_are_those_planted(healthy: Path, tmp_path: Path) -> None:
    root = fresh_copy(healthy, tmp_path)
    for file in files(root)[:13]:
        file.write_bytes(b"no image")
    (finding,) = (f for f in examined(Patient(root)).findings if f.name == "undecodable-images")
    assert finding.count == 13
    assert len(finding.examples) == 10
    assert finding.examples[0].startswith("person_00/000.jpg: ")


def test_faults_come_first(healthy: Path, tmp_path: Path) -> None:
    root = fresh_copy(healthy, tmp_path)
    sick_sets.single_image(root)
    sick_sets.empty_class(root)
    names = [finding.name for finding in examined(Patient(root)).findings]
    assert names == ["empty-classes", "single-image-classes"]


def test_objects_are_not_judged_by_skin_or_eyes(healthy: Path, tmp_path: Path) -> None:
    root = fresh_copy(healthy, tmp_path)
    sick_sets.changed(lambda pixels: pixels[..., ::-1], every=1)(root)
    assert examine(open_specimen(root), faces=False).findings == ()


def test_result_does_not_depend_on_threads(healthy: Path) -> None:
    one, four = (examine(open_specimen(healthy), threads=threads) for threads in (1, 4))
    assert one.facts() == four.facts()
    assert (one.measured.hashes == four.measured.hashes).all()
    assert (one.measured.mean_image == four.measured.mean_image).all()


@pytest.mark.parametrize("name", ["nothing", "empty"])
def test_refuses_what_is_no_set(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=name):
        open_specimen(tmp_path / name)
