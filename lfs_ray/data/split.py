"""Identity-disjoint split: identities to train on, and others to score on.

Data flow: number of classes of a joined set -> here -> two sets of labels -> `FaceSet.select`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.errors import DataError
from lfs_ray.seeds import derive_seed


def split_identities(
    num_classes: int, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels to train on and labels to validate on: disjoint, together all, both sorted.

    Args:
        num_classes: Labels are 0 to num_classes-1.
        share: Share of the identities that is held out, between 0 and 1; rounded to whole ones.
        seed: Seed of the choice.

    Raises:
        DataError: A side would be empty.
    """
    held_out = round(num_classes * share)
    if not 0 < held_out < num_classes:
        raise DataError(
            f"both sides of the split must have identities, a share of {share} of "
            f"{num_classes} leaves {num_classes - held_out} to train on and "
            f"{held_out} to validate on: change the share"
        )
    words = np.random.PCG64(derive_seed(int(seed), "split")).random_raw(num_classes)
    order = np.argsort(words, kind="stable")
    return np.sort(order[held_out:]), np.sort(order[:held_out])
