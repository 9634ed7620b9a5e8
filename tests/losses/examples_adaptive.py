"""Combined margins, sub-centres; scales and margins that are learned, random or follow."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, dict[str, Any]] = {
    "combined": {"m1": 0.9, "m2": 0.4, "m3": 0.15},
    "sub_center_arcface": {"sub_centers": 3},
    "adacos": {},
    "adam_softmax": {},
    "elastic_arc": {"plus": "intended"},
    "elastic_cos": {"clip": True},
    "magface": {"rule": "fallback"},
    "adaface": {},
}
