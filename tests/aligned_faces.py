"""Simple faces cropped to the five-point template, for tests of crops.

A skin oval, dark eyes and mouth; each with its own light, colours and background.
"""

from __future__ import annotations

import numpy as np

PLACES = ((38.3, 51.6, 7, 4), (73.5, 51.6, 7, 4), (56, 74, 5, 3), (56, 92.3, 13, 4))


def aligned_face(
    number: int,
    size_px: int = 64,
    *,
    right_px: float = 0,
    down_px: float = 0,
    scale: float = 1,
    jitter: float = 0,
) -> np.ndarray:
    """Picture `number`, (size, size, 3) uint8 RGB; its face moved (pixels of 112) and scaled."""
    rng = np.random.default_rng(number)
    scale *= np.exp(rng.uniform(-jitter, jitter))
    right_px += 56 * jitter * rng.uniform(-1, 1)
    down_px += 56 * jitter * rng.uniform(-1, 1)
    y, x = (np.mgrid[:size_px, :size_px] + 0.5) * 112 / size_px
    x, y = (x - 56 - right_px) / scale + 56, (y - 56 - down_px) / scale + 56
    waves = sum(
        np.sin(rng.uniform(-0.09, 0.09) * x + rng.uniform(-0.09, 0.09) * y + rng.uniform(0, 6))
        for _ in range(5)
    )
    image = 90 + 30 * waves[..., None] * rng.uniform(0.6, 1, 3)
    skin = np.array([205, 160, 130]) * rng.uniform(0.6, 1.1)
    light = 1 + 0.3 * np.sin(rng.uniform(-0.03, 0.03, 2) @ np.stack([x, y]).reshape(2, -1))
    light = light.reshape(x.shape)
    inside = 1 / (1 + np.exp(((x - 56) / 40) ** 2 * 9 + ((y - 62) / 52) ** 2 * 9 - 9))
    image = image * (1 - inside[..., None]) + (skin * light[..., None]) * inside[..., None]
    for at_x, at_y, wide, high in PLACES:
        at_x, at_y = at_x + rng.normal(0, 1), at_y + rng.normal(0, 1)
        dark = np.exp(-0.5 * (((x - at_x) / wide) ** 2 + ((y - at_y) / high) ** 2))
        image *= 1 - 0.7 * dark[..., None]
    return np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
