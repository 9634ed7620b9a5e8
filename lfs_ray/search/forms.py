"""All search spaces by name, and which of them a loss can read.

Place in the data flow: configuration and messages ask here which spaces there are; `space` makes
one of them.
"""

from __future__ import annotations

from lfs_ray.search.form import Defaults, SpaceForm
from lfs_ray.search.shift_forms import SHIFT_FORMS
from lfs_ray.search.vector_forms import VECTOR_FORMS

__all__ = ["SPACES", "Defaults", "SpaceForm", "spaces_for"]

SPACES: dict[str, SpaceForm] = {**SHIFT_FORMS, **VECTOR_FORMS}


def spaces_for(loss: str) -> tuple[str, ...]:
    """Names of the spaces whose theta a loss can read; empty for a loss that isn't searched.

    >>> spaces_for("am_lfs")
    ('piecewise', 'piecewise-continuous', 'piecewise-monotone')
    """
    return tuple(name for name, form in SPACES.items() if loss in form.losses)
