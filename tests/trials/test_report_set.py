"""Which baseline is the reference, and what methods side by side must share."""

from __future__ import annotations

import numpy as np
import pytest

from lfs_ray.errors import DataError
from lfs_ray.trials.report_set import MethodScores, ReportSet, best_baseline


def scores(
    method: str,
    reward_S: list[float],
    *,
    is_baseline: bool = False,
    accuracy: float = 0.5,
    pairs: int = 10,
) -> MethodScores:
    correct_SP = np.tile(np.arange(pairs) < accuracy * pairs, (len(reward_S), 1))
    return MethodScores(
        method=method,
        correct_SP=correct_SP,
        reward_S=np.array(reward_S),
        is_baseline=is_baseline,
    )


def beside(*methods: MethodScores, pairs: int = 10) -> ReportSet:
    identity = np.arange(pairs)
    return ReportSet(
        name="faces", methods=methods, first_identity_P=identity, second_identity_P=identity
    )


def test_the_reward_set_chooses_among_the_baselines_only() -> None:
    methods = (
        scores("search", [0.99, 0.99]),
        scores("tuned", [0.7, 0.8], is_baseline=True, accuracy=0.9),
        scores("random", [0.9, 0.7], is_baseline=True, accuracy=0.1),
        scores("selection", [0.8, 0.8], is_baseline=True, accuracy=0.2),
    )
    assert best_baseline(methods) == 2


def test_of_equal_baselines_the_first_is_taken() -> None:
    methods = tuple(scores(name, [0.5], is_baseline=True) for name in "abc")
    assert best_baseline(methods) == 0


def test_a_baseline_without_a_reward_comes_last() -> None:
    methods = (
        scores("unfinished", [0.9, np.nan], is_baseline=True),
        scores("finished", [0.1, 0.1], is_baseline=True),
    )
    assert best_baseline(methods) == 1


def test_a_comparison_has_a_baseline() -> None:
    with pytest.raises(DataError, match="found none among a, b: add one"):
        best_baseline((scores("a", [1]), scores("b", [1])))


def test_accuracies_are_those_of_each_seed() -> None:
    report_set = beside(scores("a", [1, 1], accuracy=0.3), scores("b", [1, 1], accuracy=0.8))
    assert report_set.num_seeds == 2
    assert np.array_equal(report_set.accuracy_MS, [[0.3, 0.3], [0.8, 0.8]])


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ((), "must have methods"),
        ((scores("a", [1]), scores("b", [1]), scores("a", [1])), "'a' twice"),
        ((scores("a", [1, 1]), scores("b", [1])), r"2 seeds and 10 pairs.*\(1, 10\) for 'b'"),
        ((scores("a", [1]), scores("b", [1], pairs=9)), r"\(1, 9\) for 'b'"),
    ],
)
def test_methods_that_cannot_stand_side_by_side(
    methods: tuple[MethodScores, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        beside(*methods)


def test_both_sides_of_a_pair_have_an_identity() -> None:
    with pytest.raises(DataError, match="found 10 first and 9 second"):
        ReportSet(
            name="faces",
            methods=(scores("a", [1]),),
            first_identity_P=np.arange(10),
            second_identity_P=np.arange(9),
        )


@pytest.mark.parametrize("shape", [(10,), (0, 10), (3, 0)])
def test_decisions_are_a_table_of_seeds_by_pairs(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="seeds by pairs"):
        MethodScores(method="a", correct_SP=np.ones(shape, bool), reward_S=np.ones(shape[:1]))


def test_each_seed_has_a_reward() -> None:
    with pytest.raises(DataError, match="found 3 rewards and 2 seeds for method 'a'"):
        MethodScores(method="a", correct_SP=np.ones((2, 5), bool), reward_S=np.ones(3))
