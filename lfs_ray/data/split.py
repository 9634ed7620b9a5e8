"""What is trained on and what is scored on: a split of identities, or of each one's images.

Data flow: number of classes of a joined set -> here -> two sets of labels -> `FaceSet.select`; or
labels of its images -> here -> two sets of images.
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


def split_images(
    labels: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Images to train on and images to validate on: disjoint, together all, both sorted.

    Of a class with n images round(n share) are held out, but one at least stays.

    Args:
        labels: Class of each image, (N,).
        share: Share of the images of each class that is held out, between 0 and 1.
        seed: Seed of the choice.

    Raises:
        DataError: Nothing would be held out.
    """
    words = np.random.PCG64(derive_seed(int(seed), "image split")).random_raw(len(labels))
    order = np.lexsort((words, labels))
    classes, starts, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    place = np.arange(len(labels)) - np.repeat(starts, sizes)
    quota = np.minimum(np.rint(sizes * share).astype(np.int64), sizes - 1)
    held_out = place < np.repeat(quota, sizes)
    if not held_out.any():
        raise DataError(
            f"images of some class must be held out, a share of {share} of {len(classes)} classes "
            f"with at most {int(sizes.max(initial=0))} images leaves none: raise the share"
        )
    return np.sort(order[~held_out]), np.sort(order[held_out])
