"""One usual choice of every loss's options, by name; the conformance suite runs over them.

A family's file examples_FAMILY.py holds its own; here they are put together.
"""

from __future__ import annotations

from typing import Any

import examples_adaptive
import examples_margin
import examples_negatives
import examples_raw
import examples_searched

EXAMPLES: dict[str, dict[str, Any]] = {
    **examples_raw.EXAMPLES,
    **examples_margin.EXAMPLES,
    **examples_adaptive.EXAMPLES,
    **examples_negatives.EXAMPLES,
    **examples_searched.EXAMPLES,
}
