"""RFW: four groups of people, one pair list each; never pooled.

Data flow: folder -> here -> four `Pairs` by name -> four results, their mean and their spread.
Layout (Wang et al., ICCV 2019): txts/African/African_pairs.txt, LFW's lines without a header;
images data/African/m.0abc/m.0abc_0001.jpg.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from lfs_ray.data.pairs import Pairs, read_pairs
from lfs_ray.data.protocols.locations import first_existing

GROUPS = ("African", "Asian", "Caucasian", "Indian")


def is_rfw(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds the lists of the four groups."""
    return all(any((Path(path) / name).is_file() for name in _places(group)) for group in GROUPS)


def read_rfw(path: str | os.PathLike[str]) -> dict[str, Pairs]:
    """Pairs of each group by its name.

    Keys begin with the group: African/m.0abc/m.0abc_0001.jpg lies below the folder `data`.

    Raises:
        DataError: A list is missing, or one of its lines doesn't fit.
    """
    groups: dict[str, Pairs] = {}
    for group in GROUPS:
        place = first_existing(Path(path), _places(group), f"RFW's list of the group {group}")
        pairs = read_pairs(place, "lfw-bare")
        groups[group] = replace(pairs, keys=tuple(f"{group}/{key}" for key in pairs.keys))
    return groups


def _places(group: str) -> tuple[str, ...]:
    name = f"{group}_pairs.txt"
    return (f"txts/{group}/{name}", f"{group}/{name}", name, f"{group}.txt")
