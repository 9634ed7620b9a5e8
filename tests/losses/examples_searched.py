"""The searched losses."""

from __future__ import annotations

from typing import Any

EXAMPLES: dict[str, dict[str, Any]] = {
    "global": {"scale": 64.0, "theta": [0.3]},
    "local": {"scale": 64.0, "theta": [0.45 - 0.03 * j for j in range(10)]},
    "am_lfs": {
        "scale": 64.0,
        "theta": [
            *(1.2, 1.1, 1.0, 1.0, 0.9, 0.8),
            *(-0.1, -0.15, -0.2, -0.25, -0.3, -0.35),
            *(0.9, 0.95, 1.0, 1.05, 1.1, 1.15),
            *(-0.001, 0.002, 0.003, -0.02, -0.08, -0.15),
        ],
    },
    "random_margin": {"scale": 64.0, "theta": [0.35, 0.05]},
    "taylor": {
        "scale": 64.0,
        "theta": [0.4, 0.1, -0.7, 0.2, -0.1, 2.0, 0.3, -4.0],
    },
}
