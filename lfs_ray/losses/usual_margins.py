"""Margins that hand-made losses take where none is given; without torch, for plans and tables."""

from __future__ import annotations

AM_SOFTMAX_MARGIN = 0.35
"""Subtracted from the target cosine (Wang et al. 2018, CosFace)."""

ARCFACE_MARGIN_RAD = 0.5
"""Added to the target angle (Deng et al. 2019, ArcFace)."""
