"""Student's t and the sign test's binomial, through the regularised incomplete beta function.

Before `comparison` and `corrections`: they turn an estimate over its error, or a count of
discordant pairs, into a probability. Degrees of freedom need not be whole numbers. Abramowitz
and Stegun, Handbook of Mathematical Functions, 26.5 and 26.7; the continued fraction is
evaluated by the modified method of Lentz. Checked against other implementations to 1e-8.
"""

from __future__ import annotations

import math

_TINY = 1e-300
_STEPS = 10_000


def t_two_sided(t: float, freedom: float) -> float:
    """P(|T| >= |t|) of Student's distribution.

    Args:
        t: any number, infinity included.
        freedom: degrees of freedom, > 0; infinity gives the normal distribution.

    >>> round(t_two_sided(4.302653, 2), 6)
    0.05
    """
    if math.isinf(t):
        return 0.0
    if math.isinf(freedom):
        return math.erfc(abs(t) / math.sqrt(2))
    return incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def t_quantile(probability: float, freedom: float) -> float:
    """The t > 0 with P(|T| >= t) = probability.

    Args:
        probability: both tails together, in (0, 1).
        freedom: degrees of freedom, > 0, or infinity.

    >>> round(t_quantile(0.05, 1), 4)
    12.7062
    """
    low, high = 0.0, 1.0
    while t_two_sided(high, freedom) > probability:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        if t_two_sided(middle, freedom) > probability:
            low = middle
        else:
            high = middle
    return high


def sign_test(fewer: int, more: int) -> float:
    """Exact two-sided probability of a split of fair coins at least as uneven as this one.

    Args:
        fewer, more: counts of the two outcomes, >= 0, in either order.

    >>> round(sign_test(0, 5), 9)
    0.0625
    """
    fewer, more = min(fewer, more), max(fewer, more)
    if fewer == more:
        return 1.0
    # P(X <= k) of n fair coins is the incomplete beta function at 1/2 with n - k and k + 1.
    return min(1.0, 2 * incomplete_beta(0.5, more, fewer + 1))


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function I_x(a, b), for x in [0, 1] and a, b > 0.

    >>> round(incomplete_beta(0.5, 2, 2), 12)
    0.5
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, its mirror image
        return 1 - incomplete_beta(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    """Continued fraction 1 + d1/(1 + d2/(1 + ...)) of Abramowitz and Stegun 26.5.8."""
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(1, _STEPS):
        lower = 1 / _not_zero(1 + _coefficient(step, x, a, b) * lower)
        upper = _not_zero(1 + _coefficient(step, x, a, b) / upper)
        value *= upper * lower
        if abs(upper * lower - 1) < 1e-15:
            break
    return value


def _coefficient(step: int, x: float, a: float, b: float) -> float:
    half = step // 2
    if step % 2:
        return -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
    return half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))


def _not_zero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
