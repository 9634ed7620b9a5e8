"""Trillion-Pairs, LFR 2019 and the like: a list of probes with identities, a list of distractors.

Data flow: two lists -> here -> `ProbeSet` -> true accept rate at false accept rates of 1e-3 to
1e-9, over all pairs. The published lists keep the identities at the test server: this reads
`path label` lines for the probes and one path a line for the distractors.
"""

from __future__ import annotations

import os
from pathlib import Path

from lfs_ray.data.listing import read_list
from lfs_ray.data.protocols.locations import read_names
from lfs_ray.data.protocols.probes import ProbeSet, make_probe_set


def read_trillion_pairs(
    probes: str | os.PathLike[str],
    distractors: str | os.PathLike[str],
    images: str | os.PathLike[str],
) -> ProbeSet:
    """Read the two lists.

    Args:
        probes: `path label` lines; the label is an integer, equal ones are one person.
        distractors: One path a line.
        images: Folder or packed set of all images.

    Raises:
        DataError: A list is missing or empty, a line doesn't fit, an image comes twice, or no
            person has two probes.
    """
    listing = read_list(probes)
    keys = read_names(Path(distractors), "list of distractors")
    return make_probe_set(
        list(listing.keys),
        [str(label) for label in listing.labels.tolist()],
        keys,
        roots=(os.fspath(images), os.fspath(images)),
        place=os.fspath(probes),
    )
