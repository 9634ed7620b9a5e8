"""The whole examination of a set: every check in turn, and one report.

Data flow: `Specimen` (and others to compare with) -> decode pass -> checks -> `Report` -> text,
page and CSV file. What needs a model is added by the driver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.doctor.colours import check_colours
from lfs_ray.data.doctor.crops import MIN_IMAGES, check_crop, check_crops_agree
from lfs_ray.data.doctor.duplicates import check_between, check_duplicates
from lfs_ray.data.doctor.face_location import Crop, locate_face
from lfs_ray.data.doctor.finding import Finding, in_order
from lfs_ray.data.doctor.image_checks import check_images, size_table
from lfs_ray.data.doctor.label_checks import ClassCounts, check_labels, class_counts
from lfs_ray.data.doctor.landmarks import check_landmarks
from lfs_ray.data.doctor.measuring import Measured, measure
from lfs_ray.data.doctor.shared_names import check_names
from lfs_ray.data.doctor.specimen import NO_LABEL, Specimen
from lfs_ray.data.landmarks import Landmarks

Progress = Callable[[str, int, int], None]
"""Called with the name of the set, images done and images in all."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Report:
    """What the doctor says of a set."""

    specimen: Specimen
    measured: Measured
    classes: ClassCounts
    crop: Crop | None
    """Where the mean face lies; None where it is not asked for."""
    findings: tuple[Finding, ...]
    """Faults first."""

    @property
    def is_healthy(self) -> bool:
        """Whether there is no fault."""
        return all(finding.severity != "fault" for finding in self.findings)

    def with_findings(self, more: Sequence[Finding]) -> Report:
        """The report with further findings."""
        return replace(self, findings=in_order((*self.findings, *more)))

    def facts(self) -> list[tuple[str, str]]:
        """Name and value of what there is to say beside the findings."""
        measured, specimen, counts = self.measured, self.specimen, self.classes.counts
        sizes = [f"{high} x {wide} ({count})" for high, wide, count in size_table(measured)]
        shown = ", ".join(sizes[:3]) + (f" and {len(sizes) - 3} more" if len(sizes) > 3 else "")
        num_grey = int((measured.grey & measured.decoded).sum())
        rows = [
            ("set", f"{specimen.path} ({specimen.form})"),
            ("images", f"{len(specimen)}, of which {int(measured.decoded.sum())} decode"),
            ("identities", _counted(counts, int((specimen.labels == NO_LABEL).sum()))),
            ("height x width", shown or "-"),
            ("grey", f"{num_grey} of {int(measured.decoded.sum())}"),
            ("red less blue", _red_blue(measured)),
        ]
        return rows if self.crop is None else [*rows, ("crop", self.crop.words())]


def examine(
    specimen: Specimen,
    others: Sequence[Specimen] = (),
    *,
    landmarks: Landmarks | None = None,
    faces: bool = True,
    threads: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Look at every image of a set once, and of the others it is compared with.

    Args:
        specimen: The set.
        others: Sets that must share no image and no identity with it.
        landmarks: Five points of each key (`read_landmarks`).
        faces: Whether the images are faces: judges skin colour and crops.
        threads: Decoding threads.
        progress: Told while images are decoded.
    """
    measured = _measured(specimen, threads, progress)
    compared = [(other, _measured(other, threads, progress)) for other in others]
    classes = class_counts(specimen)
    crop = locate_face(measured.mean_face) if faces else None
    findings = [
        *specimen.findings,
        *check_labels(specimen, classes),
        *check_images(specimen, measured),
        *check_duplicates(specimen, measured),
        *check_between(specimen, measured, compared),
        *check_names(specimen, others),
    ]
    if crop is not None:
        places = {
            other.path: locate_face(part.mean_face)
            for other, part in compared
            if min(part.decoded.sum(), measured.decoded.sum()) >= MIN_IMAGES
        }
        findings += check_colours(specimen, measured)
        findings += check_crop(measured, crop) + check_crops_agree(crop, places)
    if landmarks is not None:
        findings += check_landmarks(specimen, measured, landmarks)
    return Report(
        specimen=specimen,
        measured=measured,
        classes=classes,
        crop=crop,
        findings=in_order(findings),
    )


def _measured(specimen: Specimen, threads: int, progress: Progress | None) -> Measured:
    def told(done: int, total: int) -> None:
        if progress:
            progress(specimen.path, done, total)

    return measure(specimen, threads=threads, progress=told)


def _counted(counts: NDArray[np.int64], num_without: int) -> str:
    without = f"; {num_without} images without a usable label" if num_without else ""
    if not len(counts):
        return f"none{without}"
    middle = float(np.median(counts))
    return f"{len(counts)}, of {counts.min()} to {counts.max()} images, median {middle:g}{without}"


def _red_blue(measured: Measured) -> str:
    coloured = measured.red_blue[measured.decoded & ~measured.grey]
    if not len(coloured):
        return "no image in colour"
    return f"{np.median(coloured):+.0f} in the middle of the median image"
