"""Pictures of an appraisal: ROC, CMC, score histograms, and the hardest errors as a sheet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lfs_ray.data.store import ImageStore
from lfs_ray.driver.evaluate.table import Appraisal, HardError
from lfs_ray.trials.curve_pictures import cmc_picture, roc_picture, score_histogram
from lfs_ray.trials.image_sheet import SheetRow, image_sheet


def write_pictures(appraisal: Appraisal, folder: Path) -> None:
    """Write what there is to see: roc.png, cmc.png, scores-SET.png, errors.png, and SVGs."""
    for suffix in ("png", "svg"):
        if appraisal.roc:
            roc_picture(appraisal.roc, folder / f"roc.{suffix}")
        if appraisal.cmc:
            cmc_picture(appraisal.cmc, folder / f"cmc.{suffix}")
        for name, one in appraisal.histograms.items():
            file = folder / f"scores-{_file_name(name)}.{suffix}"
            score_histogram(one.genuine, one.impostor, _thresholds(one.threshold), file)
    if appraisal.errors and appraisal.store is not None:
        image_sheet(list(_sheet_rows(appraisal, appraisal.store)), folder / "errors.png")


def _sheet_rows(appraisal: Appraisal, store: ImageStore) -> Iterator[SheetRow]:
    for error in appraisal.errors:
        yield SheetRow(store.image(error.left), store.image(error.right), _caption(error))


def _caption(error: HardError) -> str:
    kind = "one person, rejected" if error.same else "two people, accepted"
    return f"{kind}, score {error.score:.3f}"


def _thresholds(threshold: float) -> tuple[float, ...]:
    return () if threshold != threshold else (threshold,)


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
