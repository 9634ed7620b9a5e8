from __future__ import annotations

import itertools
import math

import pytest

from lfs_ray.errors import ConfigError
from lfs_ray.losses.spaces import SPACES

ZERO_SHIFT = {
    "margin": 0.0,
    "raw": 0.0,
    "released-global": 0.0,
    "released-local": 0.0,
    "log": -800.0,
}


def test_the_names_are_these() -> None:
    assert list(SPACES) == ["margin", "raw", "log", "released-global", "released-local"]
    assert SPACES.keys() == ZERO_SHIFT.keys()


@pytest.mark.parametrize("space", SPACES)
def test_zero_and_order(space: str) -> None:
    assert SPACES[space]([ZERO_SHIFT[space]], 32.0) == (0.0,)
    sign = 1.0 if space in ("margin", "log") else -1.0
    shifts = SPACES[space]([sign * 0.1 * j for j in range(1, 11)], 32.0)
    assert len(shifts) == 10
    assert all(low < high for low, high in itertools.pairwise(shifts))
    assert shifts[0] > 0.0


@pytest.mark.parametrize(
    ("space", "theta", "scale", "margin"),
    [
        ("margin", 0.35, 64.0, 0.35),
        ("raw", -1.0, 32.0, 0.02166),
        ("raw", -100.0, 32.0, 0.14422),
        ("raw", -10000.0, 64.0, 0.14391),
        ("raw", -7.3129e4, 32.0, 0.35),
        ("log", math.log(1000.0), 32.0, 0.21590),
        ("released-global", -1.0, 32.0, 0.33333),
        ("released-global", -0.2, 32.0, 0.28304),
        ("released-global", -0.01, 32.0, 0.18949),
        ("released-local", -1.0, 32.0, 0.5),
        ("released-local", -1.0, 64.0, 0.5),
    ],
)
def test_published_margins(space: str, theta: float, scale: float, margin: float) -> None:
    (shift,) = SPACES[space]([theta], scale)
    assert shift / scale == pytest.approx(margin, abs=6e-6)


def test_small_and_huge_values_keep_their_digits() -> None:
    assert SPACES["raw"]([-1e-18], 32.0) == (1e-18,)
    assert SPACES["log"]([-50.0], 32.0)[0] == pytest.approx(math.exp(-50.0), rel=1e-14)
    assert SPACES["log"]([5000.0], 32.0) == (5000.0,)
    assert SPACES["released-local"]([-1.0], 10_000.0) == (5000.0,)


@pytest.mark.parametrize("space", SPACES)
def test_outside_of_the_space(space: str) -> None:
    bad = [math.nan, math.inf, -math.inf]
    bad += {"margin": [-1e-9], "log": []}.get(space, [1e-9])
    for value in bad:
        with pytest.raises(ConfigError, match=rf"space '{space}' must be finite.*found {value}"):
            SPACES[space]([value], 32.0)
