"""TinyFace: probes against a gallery of the same people and distractors.

Data flow: folder -> here -> `GallerySet` -> embeddings -> rank 1, 5, 20 and DIR@FAR. Layout
(Cheng, Zhu, Gong, ACCV 2018): Testing_Set/ with Probe/, Gallery_Match/, Gallery_Distractor/ and
probe_img_ID_pairs.mat (probe_set, probe_ids), gallery_match_img_ID_pairs.mat (gallery_set,
gallery_ids). Without the .mat files the person is what stands before the first "_" of a file name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.pair_folders import read_mat
from lfs_ray.data.protocols.locations import first_existing, image_files, refuse_repeated
from lfs_ray.errors import DataError


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class GallerySet:
    """P probes, G gallery images, D distractors that belong to the gallery but match no probe."""

    probe_keys: tuple[str, ...]
    """Images of the probes, (P,)."""
    probe_person_P: NDArray[np.int64]
    """Person on each probe, (P,)."""
    gallery_keys: tuple[str, ...]
    """Images of the gallery, (G,)."""
    gallery_person_G: NDArray[np.int64]
    """Person on each, (G,)."""
    distractor_keys: tuple[str, ...]
    """Images of the distractors, (D,)."""
    root: str
    """Folder that the keys are relative to."""


def read_tinyface(path: str | os.PathLike[str]) -> GallerySet:
    """Read a folder in the layout of TinyFace: the set, or its Testing_Set.

    Raises:
        DataError: A folder or list is missing, or names and identities don't fit together.
    """
    given = Path(path)
    places = ("Testing_Set/Probe", "tinyface/Testing_Set/Probe", "Probe")
    root = first_existing(given, places, "the probes of TinyFace").parent
    distractors = first_existing(root, ("Gallery_Distractor", "Gallery_Mismatch"), "distractors")
    probe_keys, probe_names = _labelled(root, "Probe", "probe", "probe_img_ID_pairs.mat")
    gallery_keys, gallery_names = _labelled(
        root, "Gallery_Match", "gallery", "gallery_match_img_ID_pairs.mat"
    )
    numbers = {name: k for k, name in enumerate(sorted({*probe_names, *gallery_names}))}
    lost = sorted(set(probe_names) - set(gallery_names))
    if lost:
        raise DataError(
            f"every person of the probes must be in the gallery of {root}, {len(lost)} are not, "
            f'the first is "{lost[0]}"'
        )
    return GallerySet(
        probe_keys=tuple(probe_keys),
        probe_person_P=np.array([numbers[name] for name in probe_names], np.int64),
        gallery_keys=tuple(gallery_keys),
        gallery_person_G=np.array([numbers[name] for name in gallery_names], np.int64),
        distractor_keys=tuple(image_files(root, distractors.name)),
        root=str(root),
    )


def _labelled(root: Path, folder: str, role: str, list_name: str) -> tuple[list[str], list[str]]:
    """Keys and persons of one folder."""
    if not (root / list_name).is_file():
        keys = image_files(root, folder)
        return keys, [key.rsplit("/", 1)[1].split("_")[0] for key in keys]
    content = read_mat(root / list_name)
    names, ids = _column(content, f"{role}_set"), _column(content, f"{role}_ids")
    if not names or len(names) != len(ids):
        raise DataError(
            f"{root / list_name} must hold {role}_set and {role}_ids of one length, found "
            f"{len(names)} and {len(ids)}"
        )
    keys = [f"{folder}/{name}" for name in names]
    refuse_repeated(keys, str(root / list_name))
    return keys, ids


def _column(content: dict[str, Any], name: str) -> list[str]:
    return [str(item) for item in np.ravel(content.get(name, [])).tolist()]
