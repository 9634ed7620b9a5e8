"""NormFace, AM-Softmax, ArcFace."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, dict[str, Any]] = {
    "normface": {"scale": 64.0},
    "am_softmax": {"scale": 64.0, "margin": 0.35},
    "arcface": {"scale": 64.0, "margin": 0.5},
}
