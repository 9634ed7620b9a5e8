"""Search spaces as the losses see them: theta -> shifts of the target logit, delta = ln(1 - a).

Search-Softmax searches a <= 0 in L = -ln(p / (a p + 1 - a)). That is cross-entropy with the target
logit lowered by delta = ln(1 - a) >= 0, so delta is all a loss needs. Each space names one way to
write a as a searched number. The policy's side (bounds, projection) is in the search room; a test
holds the two lists of names together. Plain float64 arithmetic, no tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lfs_ray.errors import ConfigError

Shifts = tuple[float, ...]


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _margin(theta: Sequence[float], scale: float) -> Shifts:
    return tuple(scale * _at_least_zero(m, "margin") for m in theta)


def _raw(theta: Sequence[float], scale: float) -> Shifts:
    return tuple(math.log1p(-_at_most_zero(a, "raw")) for a in theta)


def _log(theta: Sequence[float], scale: float) -> Shifts:
    return tuple(_softplus(_finite(rho, "log")) for rho in theta)


def _released_global(theta: Sequence[float], scale: float) -> Shifts:
    return tuple(_released(a, scale / 3.0, "released-global") for a in theta)


def _released_local(theta: Sequence[float], scale: float) -> Shifts:
    return tuple(_released(a, scale / 2.0, "released-local") for a in theta)


def _released(a: float, log_factor: float, space: str) -> float:
    # ln(1 - a e^k) = softplus(k + ln(-a)): no overflow at any scale.
    a = _at_most_zero(a, space)
    return _softplus(log_factor + math.log(-a)) if a < 0.0 else 0.0


def _finite(value: float, space: str) -> float:
    if not math.isfinite(value):
        raise ConfigError(f"theta of space '{space}' must be finite, found {value}: correct theta")
    return value


def _at_least_zero(value: float, space: str) -> float:
    if not 0.0 <= value < math.inf:
        raise ConfigError(
            f"theta of space '{space}' must be finite and >= 0, found {value}: correct theta"
        )
    return value


def _at_most_zero(value: float, space: str) -> float:
    if not -math.inf < value <= 0.0:
        raise ConfigError(
            f"theta of space '{space}' must be finite and <= 0, found {value}: correct theta"
        )
    return value


SPACES: dict[str, Callable[[Sequence[float], float], Shifts]] = {
    "margin": _margin,  # theta = m:    delta = s m
    "raw": _raw,  # theta = a <= 0 (the paper's text)
    "log": _log,  # theta = rho:  a = -e^rho
    "released-global": _released_global,  # a = theta e^(s/3) (the released code)
    "released-local": _released_local,  # a = theta e^(s/2) (the released code)
}
