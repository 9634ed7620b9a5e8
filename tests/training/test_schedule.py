from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.config.sections import OptimizerConfig
from lfs_ray.training.schedule import RateSchedule

EPOCH, TOTAL = 1000, 10_000


def schedule(**keys: object) -> RateSchedule:
    settings = {"learning_rate": 0.2, "warmup_epochs": 0.0, **keys}
    return RateSchedule(OptimizerConfig(**settings), EPOCH, TOTAL)  # type: ignore[arg-type]


@pytest.mark.parametrize("images_seen", [1, 250, 499])
def test_warm_up_is_a_line_from_zero(images_seen: int) -> None:
    rates = schedule(schedule="constant", warmup_epochs=0.5)
    assert rates.rate(images_seen) == pytest.approx(0.2 * images_seen / 500, rel=1e-12)


def test_constant_stays_at_the_peak_after_the_warm_up() -> None:
    rates = schedule(schedule="constant", warmup_epochs=0.5)
    assert {rates.rate(seen) for seen in (500, 501, TOTAL, 10 * TOTAL)} == {0.2}


@pytest.mark.parametrize(
    ("images_seen", "factor"),
    [(1, 1.0), (2000, 1.0), (2001, 0.1), (5000, 0.1), (5001, 0.01), (TOTAL, 0.01)],
)
def test_a_milestone_lowers_the_rate_of_the_steps_after_it(
    images_seen: int, factor: float
) -> None:
    rates = schedule(schedule="milestones", milestones_epochs=(2.0, 5.0))
    assert rates.rate(images_seen) == pytest.approx(0.2 * factor, rel=1e-12)


def test_polynomial_reaches_zero_at_the_end_of_the_lineage() -> None:
    rates = schedule(polynomial_power=2.0, warmup_epochs=2.0)
    # A quarter of what is left after the warm-up is gone at 4000.
    assert rates.rate(4000) == pytest.approx(0.2 * 0.75**2, rel=1e-12)
    assert rates.rate(TOTAL) == 0.0
    assert rates.rate(2 * TOTAL) == 0.0


def test_decay_epochs_alone_says_where_polynomial_ends() -> None:
    short, long = (
        schedule(decay_epochs=4.0),
        RateSchedule(
            OptimizerConfig(learning_rate=0.2, warmup_epochs=0.0, decay_epochs=4.0),
            EPOCH,
            99 * TOTAL,
        ),
    )
    assert [short.rate(seen) for seen in (1000, 3999, 4000, 9000)] == [
        long.rate(seen) for seen in (1000, 3999, 4000, 9000)
    ]
    assert short.rate(1000) == pytest.approx(0.15, rel=1e-12)
    assert short.rate(4000) == 0.0


@given(
    warmup=st.floats(0.0, 12.0),
    power=st.floats(0.5, 3.0),
    decay=st.none() | st.floats(12.5, 20.0),
    seen=st.integers(2, 2 * TOTAL),
)
def test_warm_up_and_polynomial_are_continuous_and_within_the_peak(
    warmup: float, power: float, decay: float | None, seen: int
) -> None:
    rates = schedule(warmup_epochs=warmup, polynomial_power=power, decay_epochs=decay)
    before, now = rates.rate(seen - 1), rates.rate(seen)
    assert 0.0 <= now <= 0.2
    # Of a line or a power above one the steepest step is at its start; a root is steep at its end.
    end = TOTAL if decay is None else round(decay * EPOCH)
    length = max(end - warmup * EPOCH, 1.0)
    steepest = 1.0 if warmup * EPOCH >= end - 1 else length ** -min(power, 1.0) * max(power, 1.0)
    climb = 1.0 / (warmup * EPOCH) if warmup else 0.0
    assert abs(now - before) <= 0.2 * (steepest + climb) * (1 + 1e-6)
    assert math.isfinite(now)
