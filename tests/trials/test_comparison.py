"""Two-level bootstrap: how often it errs when methods do not differ, and what it finds."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from simulated_methods import Simulation

from lfs_ray.trials.comparison import MethodEstimate, two_level_bootstrap
from lfs_ray.trials.corrections import holm
from lfs_ray.trials.report_set import MethodScores, ReportSet, best_baseline


def claims(simulation: Simulation, seed: int) -> list[int]:
    """Sign of each claimed difference after Holm, 0 where none is claimed."""
    report_set = simulation.draw(seed)
    reference = best_baseline(report_set.methods)
    estimates = two_level_bootstrap(report_set, reference, samples=100, seed=seed)
    compared = [one.difference for one in estimates if one.difference]
    adjusted = holm([difference.p_zero for difference in compared])
    return [
        int(np.sign(difference.mean)) if p < 0.05 else 0
        for difference, p in zip(compared, adjusted, strict=True)
    ]


def share_with_a_claim(simulation: Simulation, repetitions: int) -> float:
    return float(np.mean([any(claims(simulation, seed)) for seed in range(repetitions)]))


def at_most_5_percent(repetitions: int) -> float:
    """What a true 5 % stays below in 99.5 % of runs."""
    return 0.05 + 2.58 * float(np.sqrt(0.05 * 0.95 / repetitions))


NULL = {
    "two methods, two seeds": Simulation(methods=2, seeds=2),
    "two methods, two uneven seeds": Simulation(methods=2, seeds=2, seed_sd=0.3),
    "two methods, three uneven seeds": Simulation(methods=2, seeds=3, seed_sd=0.3),
    "two methods, five uneven seeds": Simulation(methods=2, seeds=5, seed_sd=0.3),
    "two methods, seeds alike": Simulation(
        methods=2, seed_sd=0.0, seed_person_sd=0, person_sd=0.3, seeds=5, people=70
    ),
    "few people": Simulation(methods=4, people=70, person_sd=0.3),
    "many people": Simulation(methods=4, people=4000),
    "eight methods, two seeds": Simulation(methods=8, seeds=2, seed_sd=0.2, baselines=3),
    "eight methods, three seeds": Simulation(methods=8, baselines=3),
    "eight methods, five seeds": Simulation(methods=8, seeds=5, baselines=3),
    "a lucky baseline of two seeds": Simulation(methods=8, seeds=2, seed_sd=0.4, baselines=4),
    "a lucky baseline of three seeds": Simulation(methods=4, seed_sd=0.4, baselines=3),
    "an uneven method": Simulation(methods=8, seed_sd_factors=(1, 3), seed_sd=0.15),
    "a very uneven method": Simulation(methods=8, seed_sd_factors=(1, 4), seed_sd=0.1),
    "a very uneven method of two seeds": Simulation(
        methods=8, seed_sd_factors=(1, 4), seed_sd=0.1, seeds=2
    ),
    "an uneven reference": Simulation(methods=8, seed_sd_factors=(3,), seed_sd=0.15, baselines=3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NULL)
def test_without_a_difference_few_comparisons_claim_one(name: str) -> None:
    assert share_with_a_claim(NULL[name], 300) < at_most_5_percent(300)


def test_without_a_difference_few_of_a_hundred_comparisons_claim_one() -> None:
    simulation = Simulation(methods=3, seeds=2, seed_sd=0.3, baselines=2, pairs=400)
    assert share_with_a_claim(simulation, 100) < at_most_5_percent(100)


@pytest.mark.parametrize(("seeds", "shift"), [(2, 1.0), (3, 0.5), (5, 0.4)])
def test_a_large_difference_is_claimed(seeds: int, shift: float) -> None:
    simulation = Simulation(
        methods=8, seeds=seeds, shifts=(0, shift, -shift), pairs=3000, seed_sd=0.05
    )
    found = np.array([claims(simulation, seed)[:2] for seed in range(15)])
    assert np.mean(found == [1, -1]) > 0.8


def test_two_seeds_of_two_methods_need_a_very_large_difference() -> None:
    # One degree of freedom: ten times the deviation over seeds may be chance.
    simulation = Simulation(methods=2, seeds=2, shifts=(0, 1.0), seed_sd=0.1)
    assert share_with_a_claim(simulation, 20) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("which", ["accuracy", "difference"])
def test_intervals_cover_the_truth(seeds: int, which: str) -> None:
    simulation = Simulation(methods=3, seeds=seeds, seed_sd=0.2)
    truth = 0.0
    if which == "accuracy":
        one = replace(simulation, methods=1, seeds=1, pairs=400)
        truth = float(np.mean([one.draw(seed).accuracy_MS for seed in range(10_000, 14_000)]))
    inside = []
    for seed in range(400):
        estimate = two_level_bootstrap(simulation.draw(seed), 0, samples=100, seed=seed)[1]
        found = getattr(estimate, which)
        inside.append(found.low <= truth <= found.high)
    # Near 100 % an accuracy is skewed, which neither level's variance knows.
    assert np.mean(inside) > (0.9 if which == "accuracy" else 1 - at_most_5_percent(400))


def drawn_variance(report_set: ReportSet, samples: int) -> float:
    """Variance of the mean difference of two methods, both levels drawn literally."""
    generator = np.random.default_rng(0)
    d_SP = np.subtract(*(scores.correct_SP.astype(float) for scores in report_set.methods))
    first, second = report_set.first_identity_P, report_set.second_identity_P
    people = int(max(first.max(), second.max())) + 1
    means = []
    for _ in range(samples):
        d_P = d_SP[generator.integers(0, len(d_SP), len(d_SP))].mean(axis=0)
        count = np.bincount(generator.integers(0, people, people), minlength=people)
        weight_P = np.where(first == second, count[first], count[first] * count[second])
        means.append(weight_P @ d_P / weight_P.sum())
    return float(np.var(means))


def test_it_agrees_with_a_bootstrap_that_draws_both_levels() -> None:
    # Drawn, seeds count (S - 1) / S; with many seeds and large differences between them no more
    # than that remains. All pairs of one person: no excess.
    simulation = Simulation(methods=2, seeds=20, seed_sd=0.3, person_sd=0.3, seed_person_sd=0)
    report_set = simulation.draw(0)
    report_set = replace(report_set, second_identity_P=report_set.first_identity_P)
    difference = two_level_bootstrap(report_set, 0, samples=1000, seed=0)[1].difference
    assert difference is not None
    half_width = np.sqrt(drawn_variance(report_set, 2000)) * 2.0
    assert_allclose((difference.high - difference.low) / 2, half_width, rtol=0.12)


def of(correct_MSP: np.ndarray, people: int = 30) -> ReportSet:
    """Report set of given decisions; the first method is the baseline."""
    identity = np.arange(correct_MSP.shape[2]) % people
    methods = tuple(
        MethodScores(
            method=str(index),
            correct_SP=correct_SP,
            reward_S=np.zeros(len(correct_SP)),
            is_baseline=index == 0,
        )
        for index, correct_SP in enumerate(correct_MSP)
    )
    return ReportSet(
        name="set", methods=methods, first_identity_P=identity, second_identity_P=identity
    )


def decisions(*accuracies_S: list[float], pairs: int = 300, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.stack(
        [[generator.random(pairs) < accuracy for accuracy in row] for row in accuracies_S]
    )


def both(report_set: ReportSet) -> tuple[MethodEstimate, ...]:
    return two_level_bootstrap(report_set, 0, samples=100, seed=0)


def test_point_estimates_are_means_and_deviations_of_the_seeds() -> None:
    correct = decisions([0.5, 0.6, 0.7], [0.8, 0.8, 0.9])
    accuracy_MS = correct.mean(axis=2)
    reference, other = both(of(correct))
    assert reference.difference is None
    assert other.difference is not None
    assert_allclose(other.accuracy.mean, accuracy_MS[1].mean())
    assert_allclose(other.sd, accuracy_MS[1].std(ddof=1))
    assert_allclose(other.difference.mean, accuracy_MS[1].mean() - accuracy_MS[0].mean())
    assert other.difference.low < other.difference.mean < other.difference.high


def test_one_seed_gives_no_interval_and_no_p_value_however_large_the_difference() -> None:
    _, other = both(of(decisions([0.5], [1.0])))
    assert other.difference is not None
    assert other.difference.mean > 0.4
    unknown = [other.sd, other.accuracy.low, other.accuracy.high]
    unknown += [other.difference.low, other.difference.high, other.difference.p_zero]
    assert np.isnan(unknown).all()


def test_seeds_that_disagree_widen_the_interval() -> None:
    even = both(of(decisions([0.5, 0.5, 0.5], [0.7, 0.7, 0.7])))[1].difference
    uneven = both(of(decisions([0.5, 0.5, 0.5], [0.5, 0.7, 0.9])))[1].difference
    assert even is not None
    assert uneven is not None
    assert even.p_zero < 0.05 < uneven.p_zero
    assert uneven.high - uneven.low > 3 * (even.high - even.low)


def test_seeds_are_paired() -> None:
    # What a seed does to both methods is not in their difference.
    _, other = both(of(decisions([0.3, 0.5, 0.7], [0.5, 0.7, 0.9], pairs=3000)))
    assert other.difference is not None
    assert other.difference.high - other.difference.low < 0.2
    assert other.accuracy.high - other.accuracy.low > 0.8


def test_noise_of_single_decisions_counts_once() -> None:
    # It shows between seeds and between people, and is the same noise.
    seeds, pairs = 40, 1000
    report_set = of(decisions([0.8] * seeds, [0.8] * seeds, pairs=pairs), people=pairs)
    _, other = two_level_bootstrap(report_set, 0, samples=2000, seed=0)
    assert other.difference is not None
    error = np.sqrt(2 * 0.8 * 0.2 / pairs / seeds)
    assert_allclose((other.difference.high - other.difference.low) / 2, 2.0 * error, rtol=0.2)


def test_people_are_resampled_in_common() -> None:
    # Both methods fail on the same people: nothing of that is in their difference.
    hard = np.arange(300) % 30 < 10
    base = np.repeat(~hard[None, :], 3, axis=0)
    better = base.copy()
    better[:, :5] = True
    _, other = both(of(np.stack([base, better])))
    assert other.difference is not None
    assert other.difference.high - other.difference.low < 0.05
    assert other.accuracy.high - other.accuracy.low > 0.2


def test_fewer_people_tell_less() -> None:
    few, many = (
        Simulation(methods=2, people=people, person_sd=0.5, seed_sd=0.02, pairs=3000, seeds=5)
        for people in (20, 2000)
    )
    widths = []
    for simulation in (few, many):
        difference = two_level_bootstrap(simulation.draw(1), 0, samples=100, seed=0)[1].difference
        assert difference is not None
        widths.append(difference.high - difference.low)
    assert widths[0] > 2 * widths[1]


def test_equal_decisions_are_no_difference() -> None:
    correct = decisions([0.5, 0.6, 0.7])
    _, other = both(of(np.concatenate([correct, correct])))
    assert other.difference is not None
    assert (other.difference.mean, other.difference.p_zero) == (0, 1)


def test_being_worse_is_charged_as_often_as_there_are_baselines() -> None:
    simulation = Simulation(methods=4, shifts=(0, 0.1, -0.1), baselines=1)
    report_set = simulation.draw(3)
    three = replace(
        report_set,
        methods=tuple(replace(one, is_baseline=i < 3) for i, one in enumerate(report_set.methods)),
    )
    for alone, among in zip(both(report_set)[1:], both(three)[1:], strict=True):
        assert alone.difference is not None
        assert among.difference is not None
        factor = 3 if alone.difference.mean < 0 else 1
        assert_allclose(among.difference.p_zero, min(1, factor * alone.difference.p_zero))
        assert among.difference.low == alone.difference.low


def test_intervals_of_accuracies_stay_within_0_and_1() -> None:
    for estimate in both(of(decisions([0.99, 0.9], [0.01, 0.1]))):
        assert 0 <= estimate.accuracy.low <= estimate.accuracy.high <= 1


def test_the_seed_decides_the_resampling() -> None:
    report_set = Simulation().draw(0)
    first, again, other = (
        two_level_bootstrap(report_set, 0, samples=50, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_comparison_of_usual_size_takes_seconds() -> None:
    report_set = Simulation(methods=12, pairs=6000, people=4000).draw(0)
    started = time.perf_counter()
    two_level_bootstrap(report_set, 0, samples=2000, seed=0)
    assert time.perf_counter() - started < 5
