"""Paint synthetic faces, many at a time: background, hair, head, skin, nose, mouth, eyes, brows.

Data flow: `face_traits` parameters and a `face_canvas` -> (3, B, N) colours in 0 to 1 ->
`face_camera`. A face is symmetric in p, the coordinate across its surface, so that both eyes are
one mask of abs(p).
"""

from __future__ import annotations

import numpy as np

from lfs_ray.data.face_canvas import Canvas, edge, ellipse, mix, slope
from lfs_ray.data.face_traits import BLOTCHES, MARKS, Params, Plane

LIGHT_SKIN, DARK_SKIN = (0.93, 0.76, 0.66), (0.40, 0.27, 0.20)
DARK_HAIR, LIGHT_HAIR = (0.08, 0.06, 0.05), (0.80, 0.66, 0.42)
DARK_IRIS, LIGHT_IRIS = (0.20, 0.11, 0.06), (0.42, 0.58, 0.66)
PALE_LIPS, RED_LIPS = (0.62, 0.36, 0.33), (0.72, 0.20, 0.24)
DARK_MOUTH, TEETH = (0.18, 0.06, 0.06), (0.85, 0.82, 0.78)
BRIGHT_EYE, DULL_EYE = (0.92, 0.90, 0.88), (0.80, 0.76, 0.72)


def paint_faces(canvas: Canvas, person: Params, shot: Params) -> None:
    """Paint every layer from the back to the front."""
    skin, hair = skin_colour(person), hair_colour(person)
    _background(canvas, shot)
    _hair_behind(canvas, person, shot, hair)
    _body(canvas, person, shot, skin)
    head = _head(canvas, person, shot, skin)
    _beard(canvas, person, shot, hair, head)
    _mouth(canvas, person, shot)
    _eyes(canvas, person, shot, skin)
    _brows(canvas, person, shot, hair)
    _hair_front(canvas, person, shot, hair, head)


def skin_colour(person: Params) -> Plane:
    """Colour of the skin, (3, B, 1)."""
    skin = mix(LIGHT_SKIN, DARK_SKIN, person["skin_tone"])
    skin[0] += 0.03 * person["skin_hue"]
    skin[2] -= 0.04 * person["skin_hue"]
    return skin


def hair_colour(person: Params) -> Plane:
    """Colour of hair, brows and beard, (3, B, 1): fair hair is rarer than dark."""
    tone = person["hair_tone"]
    hair = mix(DARK_HAIR, LIGHT_HAIR, tone * tone)
    hair[0] += 0.18 * person["hair_red"] * tone
    return hair


def _background(canvas: Canvas, shot: Params) -> None:
    tone = slope(canvas.size_px, shot["back_x"], shot["back_y"], shot["back_tone"])
    np.add(tone, shot["back_red"], out=canvas.rgb[0])
    canvas.rgb[1] = tone
    np.add(tone, shot["back_blue"], out=canvas.rgb[2])


def _hair_behind(canvas: Canvas, person: Params, shot: Params, hair: Plane) -> None:
    """Hair around the head: round above the ears, straight below, down to the person's length."""
    wide = person["head_w"] * (1.02 + person["hair_size"])
    high = person["head_h"] * (1.02 + 0.7 * person["hair_size"])
    mask = ellipse(canvas.u, np.minimum(canvas.v + 0.05, 0.0), wide, high)
    mask = edge(np.subtract(1.0, mask, out=mask), 0.25 * canvas.crisp)
    mask *= edge(person["hair_drop"] + shot["hair_fall"] - canvas.v, 0.3 * canvas.crisp)
    canvas.paint(mask, 0.85 * hair)


def _body(canvas: Canvas, person: Params, shot: Params, skin: Plane) -> None:
    """Neck and clothes: the clothes are the picture's, not the person's."""
    part = canvas.band(0.15, 9.0)
    neck = edge(0.62 * person["head_w"] - np.abs(part.u), canvas.crisp)
    neck *= edge(part.q - 0.2, canvas.crisp)
    part.paint(neck, 0.78 * skin)
    part = canvas.band(0.55, 9.0)
    cloth = edge(part.q - 0.84 + 0.15 * part.u * part.u, canvas.crisp)
    part.paint(cloth, np.stack([shot["cloth_red"], shot["cloth_green"], shot["cloth_blue"]]))


def _head(canvas: Canvas, person: Params, shot: Params, skin: Plane) -> Plane:
    """Ears and head with all relief of the skin; gives the mask of the head, (B, N)."""
    part = canvas.band(-0.16, 0.20)
    ears = ellipse(np.abs(part.u) - person["head_w"], part.q - 0.02, 0.03 + person["ear"], 0.13)
    part.paint(edge(np.subtract(1.0, ears, out=ears), 0.06 * canvas.crisp), 0.88 * skin)
    taper = np.where(canvas.v > 0.0, person["jaw"], -person["crown"])
    wide = person["head_w"] * (1.0 - canvas.v * taper)
    radius = ellipse(canvas.u, canvas.v, wide, person["head_h"])
    _relief(canvas, person, shot)
    canvas.relief[...] += 0.06 - 0.30 * (radius * radius)
    head = edge(np.subtract(1.0, radius, out=radius), 0.25 * canvas.crisp)
    canvas.paint(head, skin * canvas.relief)
    return head


def _relief(canvas: Canvas, person: Params, shot: Params) -> None:
    """Brightness of the skin: blotches, marks, cheeks, eye sockets, nose."""
    for kind, count in (("blotch", BLOTCHES), ("mark", MARKS)):
        for i in range(count):
            x, y, radius = (person[f"{kind}_{name}"][i] for name in "xyr")
            part = canvas.band(y - radius, y + radius)
            part.emboss(person[kind][i], ellipse(part.p - x, part.q - y, radius, radius))
    part = canvas.band(-0.04, 0.36)
    cheeks = ellipse(np.abs(part.p) - 0.24, part.q - 0.16, 0.2, 0.2)
    part.emboss(person["cheek"] + 0.2 * shot["flush"], cheeks)
    part = canvas.band(person["eye_y"] - 0.13, person["eye_y"] + 0.13)
    sockets = ellipse(np.abs(part.p) - person["eye_dx"], part.q - person["eye_y"], 0.17, 0.13)
    part.emboss(-person["socket"], sockets)
    _nose(canvas, person)


def _nose(canvas: Canvas, person: Params) -> None:
    """Ridge, tip and nostrils, in relief."""
    tall = 0.8 * (person["nose_y"] + 0.10)
    base, wide = person["nose_y"], person["nose_w"]
    part = canvas.band(base - 2.0 * tall, base + 0.4 * tall)
    ridge = ellipse(part.p, part.q - base + 0.6 * tall, 1.8 * person["nose_ridge"], tall)
    part.emboss(0.22, ridge)
    part = canvas.band(base - 0.08, base + 0.08)
    across = np.abs(part.p)
    part.emboss(-0.16, ellipse(across, part.q - base, 1.25 * wide, 0.075))
    nostrils = ellipse(across - 0.62 * wide, part.q - base - 0.02, 0.5 * wide, 0.045)
    part.emboss(-person["nostril"], nostrils)


def _beard(canvas: Canvas, person: Params, shot: Params, hair: Plane, head: Plane) -> None:
    """Beard below the person's line, as dense as the person grows it and the day allows."""
    dense = np.clip(person["beard"] + 0.5 * shot["shave"], 0.0, 0.85)
    if not dense.any():
        return
    top = person["beard_top"] + 0.12 - 0.9 * canvas.p * canvas.p
    canvas.paint(edge(canvas.q - top, 0.12 * canvas.crisp) * (dense * head), hair)


def _mouth(canvas: Canvas, person: Params, shot: Params) -> None:
    """Lips, and the opening between them; smile, opening and width are the picture's."""
    centre = person["nose_y"] + person["mouth_y"]
    part = canvas.band(centre - 0.3, centre + 0.3)
    across = part.p * (1.0 / (person["mouth_w"] * shot["mouth_wide"]))
    across *= across
    height = part.q - centre + (0.045 * shot["smile"]) * (across - 0.4)
    gap = np.maximum(shot["mouth_open"], 0.0)
    body = 1.0 - across
    above, below = person["lip_up"] + 0.5 * gap, person["lip_low"] + 0.5 * gap
    lips = edge(np.minimum(height + above * body, below * body - height), part.crisp)
    tone = mix(PALE_LIPS, RED_LIPS, person["lip_red"] * 0.6 + shot["make_up"] * 0.4)
    part.paint(lips, tone * (1.0 - 0.45 * person["skin_tone"]))
    inside = edge((0.006 + 0.5 * gap) * body - np.abs(height), part.crisp)
    part.paint(inside * lips, mix(DARK_MOUTH, TEETH, np.clip(20.0 * gap - 0.5, 0.0, 0.8)))


def _eyes(canvas: Canvas, person: Params, shot: Params, skin: Plane) -> None:
    """Lids, whites, irises and pupils, both eyes at once by symmetry."""
    part = canvas.band(person["eye_y"] - 0.2, person["eye_y"] + 0.2)
    side = np.abs(part.p) - person["eye_dx"]
    height = part.q - person["eye_y"] - person["eye_tilt"] * side
    across = side * (1.0 / person["eye_w"])
    opening = person["eye_h"] * shot["eye_open"] * (1.0 - across * across)
    lid = edge(opening + 0.022 - np.abs(height + 0.012), part.crisp)
    part.paint(lid * person["lid"], 0.35 * skin)
    white = edge(opening - np.abs(height), part.crisp)
    part.paint(white, mix(BRIGHT_EYE, DULL_EYE, shot["make_up"]))
    gaze = side - shot["gaze_x"] * np.sign(part.p)
    radius = person["iris_r"]
    away = ellipse(gaze, height - shot["gaze_y"], radius, radius)
    steep = 0.5 * part.crisp * radius
    iris = np.clip((1.0 - away) * steep + 0.5, 0.0, 1.0) * white
    part.paint(iris, mix(DARK_IRIS, LIGHT_IRIS, person["iris_tone"]))
    pupil = edge(0.2 - away, 2.0 * steep) * white
    part.shade(1.0 - 0.9 * pupil)


def _brows(canvas: Canvas, person: Params, shot: Params, hair: Plane) -> None:
    """Two arcs above the eyes; lift and frown are the picture's."""
    level = person["eye_y"] - person["brow_up"] - shot["brow_lift"]
    part = canvas.band(level - 0.4, level + 0.15)
    side = np.abs(part.p) - person["eye_dx"]
    height = (person["brow_bend"] * side + person["brow_slope"] + shot["brow_frown"]) * side
    height += part.q - level
    across = side * (1.0 / person["brow_len"])
    thick = person["brow_thick"] * (1.0 - across * across)
    brows = edge(thick - np.abs(height), part.crisp)
    part.paint(brows * person["brow_dark"], 0.8 * hair)


def _hair_front(canvas: Canvas, person: Params, shot: Params, hair: Plane, head: Plane) -> None:
    """Hair that falls on the forehead, down to the person's hairline."""
    bend = person["hairline_bend"] * canvas.p + person["hairline_slant"]
    line = bend * canvas.p + (person["hairline"] + shot["hair_move"])
    covered = np.minimum(2.0 * head, 1.0)  # hair also covers the soft outline of the head
    canvas.paint(edge(line - canvas.q, 0.5 * canvas.crisp) * covered, hair)
