"""Photos of probes known to be wrong: left out, or replaced by the centre of their person.

Before `distractors`. Published lists of wrong FaceScrub photos were used both ways; a result must
say which, since cleaning is worth many points.

Shapes: P probes, D dimensions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError

NOISY_PROBES = ("left_out", "class_centre")


def clean_probes(
    probes_PD: ArrayLike,
    identity_P: ArrayLike,
    noisy_P: ArrayLike,
    *,
    noise: str,
    jitter: float = 0.0,
    seed: int = 0,
) -> tuple[NDArray[np.floating], NDArray[np.generic]]:
    """Probes and identities without, or in place of, those known to be wrong.

    Args:
        probes_PD: unit rows.
        identity_P: person of each probe.
        noisy_P: which probes are wrong, boolean (P,).
        noise: a name in NOISY_PROBES. `left_out` drops them, and people left with one photo.
            `class_centre` puts the unit mean of the person's right photos in their place
            (JDAI-CV/FaceX-Zoo).
        jitter: half-width of uniform noise on a centre before it is normalised
            (deepinsight/insightface: .001, so that two of them don't coincide).
        seed: seed of the jitter, >= 0.

    Raises:
        DataError: lengths differ, or a centre has no right photo.
        ValueError: the name is none.

    >>> rows = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    >>> clean_probes(rows, ["a", "a", "a"], [0, 1, 0], noise="left_out")[0].tolist()
    [[1.0, 0.0], [0.6, 0.8]]
    """
    if noise not in NOISY_PROBES:
        raise ValueError(f"noise must be one of {', '.join(NOISY_PROBES)}, found {noise!r}")
    probes, identity = np.asarray(probes_PD), np.asarray(identity_P)
    noisy = np.asarray(noisy_P).astype(np.bool_)
    if not probes.shape[:1] == identity.shape == noisy.shape:
        raise DataError(
            f"every probe must have an identity and be known right or wrong, found shapes "
            f"{probes.shape}, {identity.shape} and {noisy.shape}"
        )
    if noise == "left_out":
        _, person, size = np.unique(identity[~noisy], return_inverse=True, return_counts=True)
        kept = np.flatnonzero(~noisy)[size[person] > 1]
        return probes[kept], identity[kept]
    return _with_centres(probes, identity, noisy, jitter, seed), identity


def _with_centres(
    probes: NDArray[np.floating],
    identity: NDArray[np.generic],
    noisy: NDArray[np.bool_],
    jitter: float,
    seed: int,
) -> NDArray[np.floating]:
    generator = np.random.default_rng(seed)
    cleaned = probes.copy()
    for place in np.flatnonzero(noisy):
        right = ~noisy & (identity == identity[place])
        if not right.any():
            raise DataError(
                f"a class centre needs a right photo, found none of {identity[place]}: leave "
                "that person out"
            )
        centre = probes[right].mean(axis=0)
        centre = centre + generator.uniform(-jitter, jitter, centre.shape)
        cleaned[place] = centre / np.linalg.norm(centre)
    return cleaned
