"""Probes of known people against distractors: images to find one another among many others.

Data flow: two folders, or the lists of `megaface` and `trillion_pairs` -> here -> keys and people
-> embeddings -> identification and verification.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.protocols.locations import image_files, refuse_repeated
from lfs_ray.errors import DataError


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ProbeSet:
    """P probes of known people, D distractors of none of them."""

    probe_keys: tuple[str, ...]
    """Image of each probe, (P,), below `probe_root`."""
    person_P: NDArray[np.int64]
    """Person on each probe, 0 to the number of people - 1, (P,)."""
    people: tuple[str, ...]
    """Name of each person."""
    distractor_keys: tuple[str, ...]
    """Image of each distractor, (D,), below `distractor_root`; D may be 0."""
    probe_root: str
    """Folder or packed set of the probes."""
    distractor_root: str
    """Folder or packed set of the distractors."""
    noisy_probe_P: NDArray[np.bool_]
    """Probes that a noise list names, (P,)."""
    noisy_distractor_D: NDArray[np.bool_]
    """Distractors that a noise list names, (D,)."""

    def without_noise(self) -> ProbeSet:
        """The set without the images that noise lists name.

        Published numbers keep them with other features (the person's centre, features that match
        nothing); to leave them out is cleaner, and must be said with the result.
        """
        kept = ~self.noisy_probe_P
        return make_probe_set(
            [key for key, keep in zip(self.probe_keys, kept, strict=True) if keep],
            [self.people[person] for person in self.person_P[kept].tolist()],
            [
                k
                for k, bad in zip(self.distractor_keys, self.noisy_distractor_D, strict=True)
                if not bad
            ],
            roots=(self.probe_root, self.distractor_root),
            place="the set without noise",
        )


def make_probe_set(
    probe_keys: Sequence[str],
    people_P: Sequence[str],
    distractor_keys: Sequence[str],
    *,
    roots: tuple[str, str],
    place: str,
    noises: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset()),
) -> ProbeSet:
    """A checked set.

    Args:
        probe_keys: Image of each probe, (P,).
        people_P: Name of the person on each, (P,).
        distractor_keys: Image of each distractor, (D,).
        roots: Where the images of the probes and of the distractors lie.
        place: The file that says so, for messages.
        noises: Probes and distractors that are noise: the last one to three parts of their keys.

    Raises:
        DataError: No probe, no person with two probes, an image twice, unequal lengths.
    """
    if len(probe_keys) != len(people_P):
        raise DataError(
            f"{place} must give a person for each probe, found {len(probe_keys)} probes and "
            f"{len(people_P)} people"
        )
    names, person, counts = np.unique(people_P, return_inverse=True, return_counts=True)
    if not len(counts) or counts.max() < 2:
        raise DataError(
            f"{place} must have a person with two probes or more, found {len(probe_keys)} probes "
            f"of {len(names)} people"
        )
    refuse_repeated(probe_keys, place)
    refuse_repeated(distractor_keys, place)
    return ProbeSet(
        probe_keys=tuple(probe_keys),
        person_P=person.astype(np.int64),
        people=tuple(map(str, names.tolist())),
        distractor_keys=tuple(distractor_keys),
        probe_root=roots[0],
        distractor_root=roots[1],
        noisy_probe_P=_among(probe_keys, noises[0]),
        noisy_distractor_D=_among(distractor_keys, noises[1]),
    )


def read_probe_folders(
    probes: str | os.PathLike[str], distractors: str | os.PathLike[str]
) -> ProbeSet:
    """Any folder with one folder of images a person, and any folder of other images.

    Raises:
        DataError: A folder is missing or has no images; no person has two.
    """
    keys = image_files(Path(probes))
    loose = [key for key in keys if "/" not in key]
    if loose:
        raise DataError(f"{probes} must hold one folder a person, {loose[0]} lies directly in it")
    return make_probe_set(
        keys,
        [key.split("/")[0] for key in keys],
        image_files(Path(distractors)),
        roots=(os.fspath(probes), os.fspath(distractors)),
        place=os.fspath(probes),
    )


def _among(keys: Sequence[str], noises: frozenset[str]) -> NDArray[np.bool_]:
    """Which keys end in one of `noises`, taken as whole parts of a path."""
    if not noises:
        return np.zeros(len(keys), np.bool_)
    ends = (("/".join(key.split("/")[-parts:]) for parts in (1, 2, 3)) for key in keys)
    return np.array([any(end in noises for end in of_key) for of_key in ends], np.bool_)
