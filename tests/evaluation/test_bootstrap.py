"""The standard error against the true deviation over simulated sets, and its limits."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation.bootstrap import (
    Contribution,
    identity_bootstrap_se,
    joint_standard_error,
)


def design(people: int, same: int, different: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Identities of both sides: pairs of one person, then pairs of two."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, people, same + different)
    other = (first + generator.integers(1, people, same + different)) % people
    return first, np.where(np.arange(same + different) < same, first, other)


def decisions(
    first: np.ndarray, second: np.ndarray, ease: float, spread: float, seed: int
) -> np.ndarray:
    """Decisions whose log-odds of being right are the ease plus a term of each person."""
    generator = np.random.default_rng(seed)
    person = generator.normal(0, spread, max(first.max(), second.max()) + 1)
    odds = ease + person[first] + np.where(first == second, 0, person[second])
    return generator.random(len(first)) < 1 / (1 + np.exp(-odds))


def pair_se(correct: np.ndarray) -> float:
    return float(np.std(correct) / np.sqrt(len(correct)))


@pytest.mark.parametrize(
    ("people", "pairs", "spread", "ease"),
    [(60, 1000, 0.7, 1.0), (200, 3000, 0.7, 2.0), (1000, 3000, 0.5, 1.5), (4000, 3000, 1.0, 5.0)],
)
def test_it_is_the_deviation_over_new_people(
    people: int, pairs: int, spread: float, ease: float
) -> None:
    first, second = design(people, pairs, pairs, seed=people)
    sets = [decisions(first, second, ease, spread, seed) for seed in range(1000)]
    true = np.std([correct.mean() for correct in sets])
    estimates = [
        identity_bootstrap_se(correct, first, second, samples=100, seed=seed)
        for seed, correct in enumerate(sets[::20])
    ]
    assert 0.9 < np.sqrt(np.mean(np.square(estimates))) / true < 1.1


def test_resampling_pairs_would_be_too_optimistic() -> None:
    first, second = design(60, 1000, 1000, seed=1)
    correct = decisions(first, second, 1.0, 0.7, seed=2)
    assert identity_bootstrap_se(correct, first, second, seed=0) > 1.8 * pair_se(correct)


def test_with_a_pair_a_person_it_is_the_error_of_independent_pairs() -> None:
    generator = np.random.default_rng(0)
    correct = generator.random(4000) < 0.9
    same = identity_bootstrap_se(correct, np.arange(4000), np.arange(4000), seed=0)
    assert_allclose(same, pair_se(correct), rtol=0.15)
    two = identity_bootstrap_se(correct, np.arange(4000), 4000 + np.arange(4000), seed=0)
    assert_allclose(two, pair_se(correct), rtol=0.35)
    assert two >= pair_se(correct)


def test_a_pair_repeated_adds_nothing() -> None:
    first, second = design(300, 400, 400, seed=3)
    correct = decisions(first, second, 1.5, 0.5, seed=4)
    once = identity_bootstrap_se(correct, first, second, seed=5)
    thrice = identity_bootstrap_se(
        np.tile(correct, 3), np.tile(first, 3), np.tile(second, 3), seed=5
    )
    assert_allclose(thrice, once, rtol=1e-9)


def test_sides_may_be_swapped_and_identities_renamed() -> None:
    first, second = design(50, 200, 200, seed=6)
    correct = decisions(first, second, 1.0, 0.5, seed=7)
    expected = identity_bootstrap_se(correct, first, second, seed=8)
    assert_allclose(identity_bootstrap_se(correct, second, first, seed=8), expected, rtol=1e-12)
    names = np.array([f"person_{number:03d}" for number in range(50)])
    renamed = identity_bootstrap_se(correct, names[first], names[second], seed=8)
    assert renamed == expected


def test_the_seed_decides() -> None:
    first, second = design(50, 200, 200, seed=9)
    correct = decisions(first, second, 1.0, 0.5, seed=10)
    one, again, other = (
        identity_bootstrap_se(correct, first, second, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again != other


@pytest.mark.parametrize("value", [True, False])
def test_decisions_all_alike_have_no_error(value: bool) -> None:
    first, second = design(20, 50, 50, seed=11)
    assert identity_bootstrap_se(np.full(100, value), first, second, seed=0) == 0.0


def test_two_people_with_one_pair_are_enough() -> None:
    # Half of the resamplings hold one person only and lose every pair: they are drawn anew.
    estimate = identity_bootstrap_se([True, False], ["a", "b"], ["b", "a"], seed=0)
    assert np.isfinite(estimate)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [(["a", "a"], ["a", "a"], "at least 2 identities, found 1"), (["a"], ["b"], "one entry")],
)
def test_pairs_without_people_are_refused(
    first: list[str], second: list[str], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        identity_bootstrap_se([True, False], first, second, seed=0)
    assert "\n" not in str(caught.value)


def test_golden_errors() -> None:
    pair = np.arange(600)
    first = (7 * pair) % 23
    second = np.where(pair % 2 == 0, first, (first + 1 + pair % 5) % 23)
    correct = np.sin(1.7 * pair) > -0.6
    found = identity_bootstrap_se(correct, first, second, seed=0)
    assert_allclose(found, 0.018587132147845763, rtol=1e-13)
    first, second = design(40, 250, 250, seed=21)
    correct = decisions(first, second, 1.0, 0.7, seed=22)
    found = [identity_bootstrap_se(correct, first, second, seed=3, samples=n) for n in (200, 50)]
    assert_allclose(found, [0.03749056019435894, 0.0400715326317191], rtol=1e-13)


def halves(seed: int) -> tuple[Contribution, Contribution, Contribution]:
    """All pairs of some people; those of one person; each image alone, with a continuous value."""
    first, second = design(60, 400, 400, seed=14)
    correct = decisions(first, second, 1.0, 0.7, seed=seed)
    one = first == second
    blur = np.random.default_rng(seed).normal(0, 0.7, 61)
    image = np.arange(300) % 60
    return (
        Contribution(correct, first, second),
        Contribution(correct[one], first[one], second[one]),
        Contribution(np.tanh(blur[image]), image, image),
    )


def test_one_contribution_is_the_identity_bootstrap() -> None:
    pairs, _, _ = halves(0)
    expected = identity_bootstrap_se(
        pairs.values_P, pairs.first_identity_P, pairs.second_identity_P, seed=5
    )
    assert joint_standard_error([pairs], seed=5) == expected


def test_the_weight_scales_the_error() -> None:
    pairs, _, images = halves(1)
    for given in (pairs, images):
        third = replace(given, weight=0.3)
        expected = 0.3 * joint_standard_error([given], seed=6)
        assert_allclose(joint_standard_error([third], seed=6), expected, rtol=1e-12)


def test_a_mean_cut_in_shares_keeps_its_error() -> None:
    pairs, _, _ = halves(2)
    shares = [replace(pairs, weight=weight) for weight in (0.2, 0.5, 0.3)]
    expected = joint_standard_error([pairs], seed=7)
    assert_allclose(joint_standard_error(shares, seed=7), expected, rtol=1e-12)
    opposite = [pairs, replace(pairs, weight=-1.0)]
    assert joint_standard_error(opposite, seed=7) == 0.0


def test_pairs_repeated_in_another_mean_weigh_as_much() -> None:
    # A mean over three copies of the pairs is the mean over the pairs, so are both by halves.
    first, second = design(300, 0, 400, seed=23)
    correct = decisions(first, second, 1.5, 0.5, seed=24)
    once = Contribution(correct, first, second, weight=0.5)
    thrice = Contribution(*(np.tile(side, 3) for side in (correct, first, second)), weight=0.5)
    expected = identity_bootstrap_se(correct, first, second, seed=9)
    assert_allclose(joint_standard_error([once, thrice], seed=9), expected, rtol=1e-9)
    assert_allclose(joint_standard_error([thrice, once], seed=9), expected, rtol=1e-9)


def test_means_of_different_people_are_independent() -> None:
    pairs, _, _ = halves(3)
    others = replace(
        pairs,
        first_identity_P=np.asarray(pairs.first_identity_P) + 100,
        second_identity_P=np.asarray(pairs.second_identity_P) + 100,
    )
    alone = joint_standard_error([pairs], samples=2000, seed=8)
    both = joint_standard_error([pairs, others], samples=2000, seed=8)
    assert_allclose(both, 2**0.5 * alone, rtol=0.12)


def test_a_joint_error_is_the_deviation_over_new_people() -> None:
    # Means that share people move together: adding variances gives .8 of the true deviation.
    weights = (0.5, 0.3, 0.4)
    totals, estimates, added = [], [], []
    for seed in range(600):
        parts = [replace(c, weight=w) for c, w in zip(correlated(seed), weights, strict=True)]
        totals.append(sum(part.weight * np.mean(part.values_P) for part in parts))
        if seed % 15 == 0:
            estimates.append(joint_standard_error(parts, samples=100, seed=seed))
            added.append(
                sum(joint_standard_error([p], samples=100, seed=seed) ** 2 for p in parts)
            )
    true = np.std(totals)
    assert 0.9 < np.sqrt(np.mean(np.square(estimates))) / true < 1.1
    assert np.sqrt(np.mean(added)) / true < 0.85


def correlated(seed: int) -> list[Contribution]:
    """Decisions on pairs, on those of one person by another measure, and values of images."""
    first, second = design(100, 400, 400, seed=15)
    generator = np.random.default_rng(seed)
    person = generator.normal(0, 0.7, 100)
    odds = 1.0 + person[first] + np.where(first == second, 0, person[second])
    one, image = first == second, np.arange(400) % 100
    return [
        Contribution(generator.random(800) < 1 / (1 + np.exp(-odds)), first, second),
        Contribution(generator.normal(person[first], 0.5)[one], first[one], second[one]),
        Contribution(generator.normal(person[image], 0.5), image, image),
    ]


def test_lengths_are_checked_for_every_contribution() -> None:
    good = Contribution([1, 0], ["a", "b"], ["b", "a"])
    with pytest.raises(DataError, match="one entry a pair"):
        joint_standard_error([good, Contribution([1], ["a", "b"], ["b", "a"])], seed=0)


def test_six_thousand_pairs_take_under_fifty_milliseconds() -> None:
    first, second = design(1000, 3000, 3000, seed=12)
    correct = decisions(first, second, 2.0, 0.5, seed=13)
    took = []
    for _ in range(5):
        start = time.process_time()
        identity_bootstrap_se(correct, first, second, seed=0)
        took.append(time.process_time() - start)
    assert min(took) < 0.05
