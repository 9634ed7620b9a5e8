"""What stands between a painted face and its pixels: things worn or held, light, blur, noise.

Data flow: `face_drawing` canvas -> here -> (B, size, size, 3) uint8 RGB -> `synthetic`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.face_canvas import Canvas, edge, ellipse, mix, slope
from lfs_ray.data.face_traits import Params, Plane

GLASSES_SHARE = 0.18
MASK_SHARE = 0.02
PATCH_SHARE = 0.12
NOISE_LEVEL = 0.05  # largest amplitude of the uniform grain, as a share of white

LIGHT_CLOTH, DARK_CLOTH = (0.85, 0.90, 0.95), (0.20, 0.25, 0.35)
BLACK_RIM, GOLD_RIM = (0.05, 0.05, 0.06), (0.55, 0.42, 0.25)
DARK_PATCH, LIGHT_PATCH = (0.10, 0.08, 0.07), (0.90, 0.72, 0.60)
_OCCLUDER_PARAMS = (
    *("head_w", "eye_dx", "eye_y"),
    *("glasses", "glasses_w", "glasses_h", "glasses_thick", "glasses_tint", "mask_top"),
    *("patch_angle", "patch_away", "patch_r", "patch_long", "patch_tone"),
)


def paint_occluders(canvas: Canvas, person: Params, shot: Params) -> None:
    """Cover part of some faces: a mask, glasses, and a hand, strand of hair or edge."""
    layers = {
        "mask": (MASK_SHARE, _mask),
        "glasses": (GLASSES_SHARE, _glasses),
        "patch": (PATCH_SHARE, _patch),
    }
    for name, (share, layer) in layers.items():
        index = np.flatnonzero(shot[name][:, 0] < share)
        if len(index):
            part = canvas.pick(index)
            layer(part, _pick(person, index), _pick(shot, index))
            canvas.rgb[:, index] = part.rgb


def _pick(params: Params, index: NDArray[np.intp]) -> Params:
    return {name: params[name][index] for name in _OCCLUDER_PARAMS if name in params}


def _mask(canvas: Canvas, person: Params, shot: Params) -> None:
    """A cloth over mouth and nose."""
    cover = edge(canvas.q - shot["mask_top"] - 0.5 * canvas.p * canvas.p, canvas.crisp)
    cover *= edge(person["head_w"] - np.abs(canvas.u) - 0.2 * canvas.v, canvas.crisp)
    canvas.paint(cover, mix(LIGHT_CLOTH, DARK_CLOTH, shot["glasses"]))


def _glasses(canvas: Canvas, person: Params, shot: Params) -> None:
    """Rims between round and square, and lenses, some of them dark."""
    level = person["eye_y"] + 0.02
    part = canvas.band(level - 0.25, level + 0.25)
    across = (np.abs(part.p) - person["eye_dx"]) * (1.0 / shot["glasses_w"])
    along = (part.q - level) * (1.0 / shot["glasses_h"])
    radius = ellipse(across * across, along * along, 1.0, 1.0)
    lens = edge(1.0 - radius, 0.05 * part.crisp)
    part.shade(1.0 - np.maximum(shot["glasses_tint"], 0.0) * lens)
    rim = edge(shot["glasses_thick"] - np.abs(radius - 1.0), 0.06 * part.crisp)
    part.paint(rim, mix(BLACK_RIM, GOLD_RIM, shot["patch_tone"]))


def _patch(canvas: Canvas, person: Params, shot: Params) -> None:
    """An ellipse of hair or skin colour somewhere on or beside the face."""
    angle, reach = shot["patch_angle"], shot["patch_away"] * person["head_w"] * 2.0
    x, y = canvas.u - reach * np.cos(angle), canvas.v - reach * np.sin(angle)
    cover = 1.0 - ellipse(x, y, shot["patch_r"], shot["patch_r"] * shot["patch_long"])
    canvas.paint(
        edge(cover, 0.12 * canvas.crisp), mix(DARK_PATCH, LIGHT_PATCH, shot["patch_tone"])
    )


def light(canvas: Canvas, shot: Params) -> None:
    """Apply direction, fall-off, a shadow's edge, strength, contrast and tint of the light.

    Leaves rgb in 0 to 255 (beyond where over- or underexposed).
    """
    angle = shot["shadow_angle"]
    side = slope(canvas.size_px, np.cos(angle), np.sin(angle), -shot["shadow_at"])
    shadow = edge(side, 0.12 * canvas.crisp)
    shadow *= np.maximum(shot["shadow"], 0.0)
    level = slope(canvas.size_px, shot["light_x"], shot["light_y"], np.ones_like(angle))
    level -= shadow
    np.maximum(level, 0.25, out=level)
    level *= 255.0 * shot["gain"] * shot["contrast"]
    tint = np.stack([1.0 + shot["warm"], 1.0 + shot["green"], 1.0 - shot["warm"]])
    haze = tint * (0.42 * 255.0 * (1.0 - shot["contrast"]))
    for channel, factor, lift in zip(canvas.rgb, tint, haze, strict=True):
        channel *= level * factor
        channel += lift


def expose(rgb: Plane, shot: Params, grain: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    """Blur, add grain and round to pixels.

    Args:
        rgb: (3, B, size_px**2) colours, 0 to 255; changed in place.
        shot: Image parameters, (B, 1) each.
        grain: (B, 3 * size_px**2) random bytes.
        size_px: Side of the pictures in pixels.

    Returns:
        (B, size_px, size_px, 3) uint8 RGB.
    """
    planes = rgb.reshape(3, -1, size_px, size_px)
    index = np.flatnonzero(shot["blur"][:, 0] > 0.0)
    planes[:, index] = _blur(planes[:, index], 0.36 * shot["blur"][index][:, :, None])
    noise = grain.reshape(-1, 3, size_px**2).swapaxes(0, 1).astype(np.float32)
    amplitude = shot["noise"] * shot["noise"] * (NOISE_LEVEL * 255.0 / 127.5)
    noise *= amplitude
    rgb += 0.5 - 127.5 * amplitude
    rgb += noise
    np.clip(rgb, 0.0, 255.0, out=rgb)
    return np.ascontiguousarray(planes.astype(np.uint8).transpose(1, 2, 3, 0))


def _blur(planes: Plane, amount: Plane) -> Plane:
    """Mix each pixel with its neighbours one and then two pixels away, along both axes."""
    for step in (1, 2):
        for axis in (2, 3):
            near, far = planes.swapaxes(2, axis), np.empty_like(planes).swapaxes(2, axis)
            np.multiply(near, 1.0 - amount, out=far)
            near = near * (0.5 * amount)
            far[:, :, step:] += near[:, :, :-step]
            far[:, :, :-step] += near[:, :, step:]
            far[:, :, :step] += near[:, :, :step]
            far[:, :, -step:] += near[:, :, -step:]
            planes = far.swapaxes(2, axis)
    return planes
