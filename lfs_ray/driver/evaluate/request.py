"""What is evaluated, on what, by which protocol: the words of `lfs-ray evaluate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lfs_ray.data.bin_convert import PAIRS_NAME
from lfs_ray.data.environment import find_lmdb
from lfs_ray.data.protocols.rfw import is_rfw
from lfs_ray.data.store import ImageStore, open_store
from lfs_ray.errors import DataError

AGEDB_NAME = "*.mat"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """One evaluation."""

    source: str
    """Checkpoint, or directory of embeddings."""
    target: str
    """List, `.bin` file or folder of the set."""
    protocol: str = "auto"
    """A name in `run.PROTOCOLS`; auto: what the files themselves tell."""
    images: str = ""
    """Folder or packed set with the images; "": beside the list."""
    format: str = ""
    """Format of a pair list; "": what the file itself tells."""
    distractors: str = ""
    """Folder, packed set or list of distractors."""
    rules: Sequence[str] = ("insightface",)
    """Rules of the 10-fold accuracy."""
    fars: Sequence[float] = ()
    """False accept rates; empty: those usual for the protocol."""
    flip: bool = True
    """Whether mirrors are embedded, too."""
    single_shot: bool = False
    """Re-identification: also with one image a gallery person, drawn ten times (CUHK03)."""
    shuffle_seed: int | None = None
    """Deal the pairs anew to the folds, at random by this seed; None: the folds of the list."""
    skip_missing: bool = False
    """Leave out pairs whose images are missing, and say how many."""
    threads: int = 1
    """Decoding threads."""
    seed: int = 0
    """Seed of the bootstrap over identities."""

    @property
    def set_name(self) -> str:
        """Name of the set in the table: its file's or folder's."""
        return Path(os.path.abspath(self.target)).stem or "set"


def detect_protocol(request: EvaluationRequest) -> str:
    """Name of the protocol whose files lie at the target.

    Raises:
        DataError: nothing lies there, or it could be anything.
    """
    place = Path(request.target)
    if not place.exists():
        raise DataError(f"the set must be a file or folder, nothing lies at {request.target}")
    if place.is_file():
        return "reid" if place.suffix == ".csv" else "pairs"
    for name, marks in MARKS.items():
        if any(any(place.glob(mark)) for mark in marks):
            return name
    if is_rfw(place):
        return "rfw"
    if request.distractors:
        return "probes"
    if find_lmdb(place) or any(entry.is_dir() for entry in place.iterdir()):
        return "retrieval"
    raise DataError(
        f"the files of {request.target} must tell their protocol, they are of none that is known: "
        f"name it with --protocol"
    )


MARKS = {
    "pairs": (PAIRS_NAME, AGEDB_NAME),
    "cfp": ("Protocol/Pair_list_F.txt", "Pair_list_F.txt"),
    "ijb": ("meta/ijb?_face_tid_mid.txt", "ijb?_face_tid_mid.txt"),
    "megaface": ("templatelists/facescrub_features_list.json", "facescrub_features_list.json"),
    "reid": ("bounding_box_test",),
    "tinyface": ("Testing_Set/Probe", "tinyface/Testing_Set/Probe", "Gallery_Match"),
}
"""Files and folders that only one protocol has."""


IMAGE_FOLDERS = ("", "images", "Images", "Data/Images", "data")
"""Where the images of a set may lie, below its folder."""


def images_of(request: EvaluationRequest, folder: str, keys: Sequence[str]) -> ImageStore | None:
    """Store of the set's images: of the usual places the one that holds the first key.

    None where there is no such folder, which stored embeddings don't mind.

    Raises:
        DataError: the place that was named is neither a folder nor an LMDB.
    """
    if request.images:
        return open_store(request.images)
    places = [place for name in IMAGE_FOLDERS if os.path.isdir(place := f"{folder}/{name}")]
    stores = [open_store(place) for place in places]
    holding = (store for store in stores if not store.missing(iter(keys[:1])))
    return next(holding, stores[0] if stores else None)
