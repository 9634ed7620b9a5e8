"""Pairs of images with captions on one sheet: the errors that a model makes most surely.

Hardest errors of `lfs-ray evaluate` -> here -> one PNG.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

_FACE_PX = 112
_GAP_PX = 6
_CAPTION_PX = 30
_COLUMNS = 5
_GROUND, _INK = (255, 255, 255), (40, 46, 54)


@dataclass(frozen=True, slots=True, eq=False)
class SheetRow:
    """One pair."""

    left_HWC: npt.NDArray[np.uint8]
    """RGB pixels (H, W, 3)."""
    right_HWC: npt.NDArray[np.uint8]
    caption: str
    """Up to two lines; a comma separates them."""


def image_sheet(rows: Sequence[SheetRow], path: Path) -> None:
    """Write all pairs, five in a line, each image brought to 112 pixels.

    Args:
        rows: at least one pair, in the order of reading.
        path: PNG file to write.
    """
    cell = (2 * _FACE_PX + 3 * _GAP_PX, _FACE_PX + _CAPTION_PX + 2 * _GAP_PX)
    columns = min(_COLUMNS, len(rows))
    lines = -(-len(rows) // _COLUMNS)
    sheet = Image.new("RGB", (columns * cell[0], lines * cell[1]), _GROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=11)
    for place, row in enumerate(rows):
        line, column = divmod(place, _COLUMNS)
        left, top = column * cell[0] + _GAP_PX, line * cell[1] + _GAP_PX
        for number, pixels_HWC in enumerate((row.left_HWC, row.right_HWC)):
            face = Image.fromarray(pixels_HWC).resize((_FACE_PX, _FACE_PX))
            sheet.paste(face, (left + number * (_FACE_PX + _GAP_PX), top))
        caption = row.caption.replace(", ", "\n", 1)
        draw.multiline_text((left, top + _FACE_PX + 2), caption, fill=_INK, font=font, spacing=1)
    _save(sheet, path)


def _save(sheet: Image.Image, path: Path) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        sheet.save(temporary, format="PNG")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
