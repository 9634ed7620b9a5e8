"""Losses over inner products, and those that multiply the angle."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, dict[str, Any]] = {
    "softmax": {"bias": True},
    "l2_softmax": {"scale": 40.0, "learn_scale": True},
    "v_softmax": {},
    "l_softmax": {},
    "a_softmax": {"schedule": "sv-x"},
    "sphereface_r": {},
}
