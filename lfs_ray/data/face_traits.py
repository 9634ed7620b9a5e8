"""Numbers behind a synthetic face: what a person is, and what happened in one picture of them.

Data flow: (seed, identity, image) -> counter-based random words -> named parameters here ->
`face_drawing` -> `face_camera` -> pixels. Only raw Philox words and exactly rounded arithmetic are
used, so a face has the same pixels on every platform and in every batch.

Lengths are in half image sides (the picture spans -1 to 1, y downwards), angles in radians,
colours and shares in 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]  # float32 throughout; numpy's stubs lose that in arithmetic
Params = dict[str, Plane]

BLOTCHES = 3
MARKS = 2

# name -> (lowest, highest): uniform, one number a person
IDENTITY: dict[str, tuple[float, float]] = {
    "head_w": (0.435, 0.525),
    "head_h": (0.615, 0.705),
    "jaw": (0.068, 0.352),
    "crown": (0.031, 0.219),
    "ear": (0.009, 0.061),
    "skin_tone": (0.125, 0.875),
    "skin_hue": (-0.75, 0.75),
    "hair_tone": (0.125, 0.875),
    "hair_red": (0.125, 0.875),
    "hair_size": (0.025, 0.175),
    "hair_drop": (-0.15, 0.75),
    "hairline": (-0.527, -0.333),
    "hairline_bend": (-0.275, 1.075),
    "hairline_slant": (-0.225, 0.225),
    "eye_y": (-0.122, -0.018),
    "eye_dx": (0.176, 0.244),
    "eye_w": (0.076, 0.109),
    "eye_h": (0.032, 0.058),
    "eye_tilt": (-0.225, 0.225),
    "iris_r": (0.034, 0.046),
    "iris_tone": (0.125, 0.875),
    "lid": (0.094, 0.656),
    "brow_up": (0.095, 0.155),
    "brow_len": (0.088, 0.137),
    "brow_thick": (0.017, 0.037),
    "brow_slope": (-0.263, 0.263),
    "brow_bend": (0.562, 3.938),
    "brow_dark": (0.338, 0.863),
    "nose_y": (0.117, 0.223),
    "nose_w": (0.064, 0.116),
    "nose_ridge": (0.024, 0.051),
    "nostril": (0.275, 0.725),
    "mouth_y": (0.169, 0.221),
    "mouth_w": (0.122, 0.198),
    "lip_up": (0.02, 0.042),
    "lip_low": (0.025, 0.051),
    "lip_red": (0.125, 0.875),
    "cheek": (-0.144, 0.194),
    "socket": (0.037, 0.263),
    "beard": (-0.925, 0.725),
    "beard_top": (0.045, 0.195),
}

# name -> (lowest, highest): uniform, several numbers a person
IDENTITY_FIELDS: dict[str, tuple[float, float, int]] = {
    "blotch_x": (-0.42, 0.42, BLOTCHES),
    "blotch_y": (-0.50, 0.60, BLOTCHES),
    "blotch_r": (0.18, 0.34, BLOTCHES),
    "blotch": (-0.22, 0.22, BLOTCHES),
    "mark_x": (-0.36, 0.36, MARKS),
    "mark_y": (-0.35, 0.52, MARKS),
    "mark_r": (0.020, 0.055, MARKS),
    "mark": (-0.75, 0.15, MARKS),
}

# name -> (lowest, highest): uniform, one number a picture
IMAGE: dict[str, tuple[float, float]] = {
    "yaw": (-0.42, 0.42),
    "pitch": (-0.20, 0.20),
    "roll": (-0.06, 0.06),
    "scale": (1.17, 1.27),
    "shift_x": (-0.025, 0.025),
    "shift_y": (-0.025, 0.025),
    "light_x": (-0.45, 0.45),
    "light_y": (-0.35, 0.20),
    "shadow": (-0.6, 0.45),
    "shadow_angle": (0.0, 6.2832),
    "shadow_at": (-0.25, 0.35),
    "gain": (0.70, 1.25),
    "warm": (-0.10, 0.10),
    "green": (-0.06, 0.06),
    "contrast": (0.80, 1.15),
    "back_tone": (0.05, 0.95),
    "back_red": (-0.20, 0.20),
    "back_blue": (-0.20, 0.20),
    "back_x": (-0.25, 0.25),
    "back_y": (-0.25, 0.25),
    "cloth_red": (0.05, 0.95),
    "cloth_green": (0.05, 0.95),
    "cloth_blue": (0.05, 0.95),
    "hair_move": (-0.05, 0.05),
    "hair_fall": (-0.25, 0.25),
    "smile": (-0.9, 1.6),
    "mouth_open": (-0.05, 0.075),
    "mouth_wide": (0.85, 1.20),
    "brow_lift": (-0.030, 0.035),
    "brow_frown": (-0.18, 0.18),
    "eye_open": (0.35, 1.25),
    "gaze_x": (-0.030, 0.030),
    "gaze_y": (-0.015, 0.015),
    "flush": (-0.3, 0.3),
    "make_up": (0.0, 1.0),
    "shave": (-0.8, 0.4),
    "glasses": (0.0, 1.0),
    "glasses_w": (0.13, 0.18),
    "glasses_h": (0.085, 0.13),
    "glasses_thick": (0.10, 0.26),
    "glasses_tint": (-0.5, 0.75),
    "mask": (0.0, 1.0),
    "mask_top": (0.06, 0.16),
    "patch": (0.0, 1.0),
    "patch_angle": (0.0, 6.2832),
    "patch_away": (0.35, 0.75),
    "patch_r": (0.16, 0.34),
    "patch_long": (0.6, 1.7),
    "patch_tone": (0.0, 1.0),
    "blur": (-1.2, 0.6),
    "noise": (0.0, 1.0),
    "quality": (0.0, 1.0),
}

NUM_IDENTITY_WORDS = len(IDENTITY) + sum(count for _, _, count in IDENTITY_FIELDS.values())


def draw_words(seed: int, identity: int, image: int, count: int) -> NDArray[np.uint64]:
    """Return `count` random 64-bit words of one counter block.

    Args:
        seed: Seed of the data set, 0 to 2**63.
        identity: Index of the person, from 0.
        image: Index of the picture, from 0; -1 is the person's own block.
        count: Number of words, fewer than 2**64.

    Returns:
        (count,) words that depend on nothing but the arguments.

    Reference: Salmon et al. 2011, Parallel random numbers: as easy as 1, 2, 3 (Philox-4x64).
    """
    key = np.array([seed, 0x6C66735F66616365], dtype=np.uint64)
    counter = np.array([0, 0, image + 1, identity], dtype=np.uint64)
    return np.random.Philox(key=key, counter=counter).random_raw(count)


def identity_params(words: NDArray[np.uint64]) -> Params:
    """Turn (B, NUM_IDENTITY_WORDS) words into columns: (B, 1) each, fields (count, B, 1)."""
    unit = _unit(words)
    params = _spread(unit, IDENTITY)
    start = len(IDENTITY)
    for name, (low, high, count) in IDENTITY_FIELDS.items():
        columns = unit[:, start : start + count].T[:, :, None]
        params[name] = np.ascontiguousarray(low + (high - low) * columns)
        start += count
    return params


def image_params(words: NDArray[np.uint64]) -> Params:
    """Turn (B, >= len(IMAGE)) words into columns of shape (B, 1), by the names of IMAGE."""
    return _spread(_unit(words), IMAGE)


def _unit(words: NDArray[np.uint64]) -> Plane:
    """Map words to [0, 1): the top 24 bits, exact in float32."""
    return (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def _spread(unit: Plane, table: Mapping[str, tuple[float, float]]) -> Params:
    bounds = np.array(list(table.values()), dtype=np.float32)
    low, high = bounds[:, 0], bounds[:, 1]
    values = np.ascontiguousarray((low + (high - low) * unit[:, : len(table)]).T)
    return {name: values[i][:, None] for i, name in enumerate(table)}
