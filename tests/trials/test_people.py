"""The covariance over people against the deviation over new people, and against pairs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.trials.people import PeopleCovariance, effective_people, people_covariance


def design(people: int, pairs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Half of the pairs of one person, half of two."""
    generator = np.random.default_rng(seed)
    first = generator.integers(0, people, pairs)
    other = (first + generator.integers(1, people, pairs)) % people
    return first, np.where(np.arange(pairs) < pairs // 2, first, other)


def two_models(first: np.ndarray, second: np.ndarray, seed: int) -> np.ndarray:
    """Decisions of two models that share a part of their trouble with each person."""
    generator = np.random.default_rng(seed)
    people = max(first.max(), second.max()) + 1
    common, own = generator.normal(0, 0.5, (people, 1)), generator.normal(0, 0.4, (people, 2))
    person = common + own
    other = np.where((first == second)[:, None], 0, person[second])
    noise = generator.standard_normal((len(first), 2))
    return 1.3 + person[first] + other + noise > 0


@pytest.mark.parametrize("people", [60, 300, 3000])
@pytest.mark.parametrize("contrast", [(1, 0), (1, -1), (0.5, 0.5)])
def test_it_is_the_deviation_over_new_people(people: int, contrast: tuple[float, float]) -> None:
    first, second = design(people, 2000)
    weight = np.array(contrast, float)
    sets = [two_models(first, second, seed) for seed in range(300)]
    true = np.std([correct.mean(axis=0) @ weight for correct in sets])
    found = [
        people_covariance(correct, first, second, samples=100, seed=seed).variance(weight)
        for seed, correct in enumerate(sets[::15])
    ]
    assert 0.88 < np.sqrt(np.mean(found)) / true < 1.12


def test_it_agrees_with_the_dyad_robust_sum_over_all_pairs_of_pairs() -> None:
    first, second = design(40, 300, seed=1)
    residual = two_models(first, second, 2)[:, 0].astype(float)
    residual -= residual.mean()
    shares = (first[:, None] == first) | (first[:, None] == second)
    shares |= (second[:, None] == first) | (second[:, None] == second)
    exact = residual @ shares @ residual / len(first) ** 2
    found = people_covariance(residual[:, None] > 0, first, second, samples=4000, seed=0)
    assert_allclose(found.variance(np.ones(1)), exact, rtol=0.15)


def test_alone_or_beside_others_a_column_varies_alike() -> None:
    first, second = design(50, 500)
    correct = two_models(first, second, 0)
    together = people_covariance(correct, first, second, samples=50, seed=3)
    alone = people_covariance(correct[:, :1], first, second, samples=50, seed=3)
    assert_allclose(together.variance(np.array([1.0, 0])), alone.variance(np.ones(1)), rtol=1e-9)


def test_many_weights_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = design(50, 500)
    correct = two_models(first, second, 0)
    whole = people_covariance(correct, first, second, samples=50, seed=3)
    monkeypatch.setattr("lfs_ray.trials.people.WEIGHTS_AT_ONCE", 500 * 7)
    parts = people_covariance(correct, first, second, samples=50, seed=3)
    assert np.array_equal(whole.resampled_CC, parts.resampled_CC)


def test_names_and_numbers_of_people_are_the_same() -> None:
    first, second = design(9, 60)
    correct = two_models(first, second, 0)
    named = [np.array([f"person {number}" for number in side]) for side in (first, second)]
    by_name = people_covariance(correct, *named, samples=20, seed=0)
    by_number = people_covariance(correct, first, second, samples=20, seed=0)
    assert np.array_equal(by_name.resampled_CC, by_number.resampled_CC)


def test_it_is_never_below_independent_pairs() -> None:
    lucky = PeopleCovariance(np.full((1, 1), -1.0), np.full((1, 1), 4.0), 9)
    assert lucky.variance(np.ones(1)) == 4


def test_people_in_most_pairs_count_for_most() -> None:
    first, second = np.array([0, 0, 0, 0]), np.array([1, 2, 3, 0])
    # 4 pairs of the first person, 1 of each other one: 7^2 / (16 + 3)
    assert_allclose(effective_people(first, second, 4), 49 / 19)
    assert_allclose(effective_people(np.arange(5), np.arange(5), 5), 5)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([0, 0], [0, 0], "at least 2 identities, found 1"),
        ([0, 1, 2], [0, 1, 2], "found 2, 3 and 3"),
    ],
)
def test_what_it_cannot_use(first: list[int], second: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        people_covariance([[True], [False]], first, second, samples=5, seed=0)
