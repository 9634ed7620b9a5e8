"""Losses whose negatives are more than s * cos, or are summed otherwise."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, dict[str, Any]] = {
    "mv_am": {},
    "mv_arc": {},
    "curricularface": {},
    "npcface": {},
    "arcnegface": {},
    "circle": {},
    "uniface": {},
    "unitsface": {},
    "sphereface2": {},
}
