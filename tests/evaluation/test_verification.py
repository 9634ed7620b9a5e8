"""Rules against golden values, and against routines that loop over thresholds and pairs."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from golden_pairs import golden_pairs, random_pairs
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation.verification import RULE_NAMES, RULES, verify, verify_scores


def slow_insightface(score: np.ndarray, same: np.ndarray, fold: np.ndarray) -> list[float]:
    distance, chosen = 2 - 2 * score, []
    for own in np.unique(fold):
        best, best_right = 0.0, -1
        for threshold in np.arange(0, 4, 0.01):
            right = int(np.sum((distance < threshold)[fold != own] == same[fold != own]))
            if right > best_right:
                best, best_right = float(threshold), right
        chosen.append(best)
    return chosen


def slow_range(
    score: np.ndarray,
    same: np.ndarray,
    fold: np.ndarray,
    accepts: Callable[[np.ndarray, float, float], np.ndarray],
) -> list[float]:
    chosen = []
    for own in np.unique(fold):
        train, truth = score[fold != own], same[fold != own]
        step = (train.max() - train.min()) / 1000
        best, best_gap = 0.0, -np.inf
        for k in range(1, 1001):
            threshold = train.min() + step * k
            accepted = accepts(train, threshold, step)
            gap = accepted[truth].sum() / truth.sum() - accepted[~truth].sum() / (~truth).sum()
            if gap > best_gap:
                best, best_gap = float(threshold), gap
        chosen.append(best)
    return chosen


ORACLES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], list[float]]] = {
    "insightface": slow_insightface,
    "facex": lambda *pairs: slow_range(*pairs, accepts=lambda s, t, step: s > t),
    "facex-zoo": lambda *pairs: slow_range(*pairs, accepts=lambda s, t, step: s > t),
    "lfs": lambda *pairs: slow_range(*pairs, accepts=lambda s, t, step: s >= t - step / 2 + 2e-6),
}


def slow_decision(rule: str, score: float, same: bool, threshold: float) -> bool:
    if rule == "insightface":
        return (2 - 2 * score < threshold) == same
    if rule == "lfs":
        return (score >= threshold) == same
    return score > threshold if same else score < threshold


@pytest.mark.parametrize(
    ("rule", "accuracy", "std"),
    [
        ("insightface", 0.857166667, 0.027203452),
        ("facex-zoo", 0.856833333, 0.009082781),
        ("lfs", 0.852000000, 0.009170605),
    ],
)
def test_golden_values(rule: str, accuracy: float, std: float) -> None:
    result = verify_scores(*golden_pairs(), rule=rule)
    assert_allclose([result.accuracy, result.std], [accuracy, std], atol=5e-10)


def test_golden_threshold_of_insightface() -> None:
    assert_allclose(verify_scores(*golden_pairs()).thresholds, [1.6] * 10, rtol=1e-15)


@pytest.mark.parametrize("rule", RULES)
def test_golden_pairs_with_ties_equal_the_slow_routine(rule: str) -> None:
    score, same, fold = golden_pairs()
    check_against_oracle(rule, np.round(score, 2), same, fold)


@pytest.mark.parametrize("rule", RULES)
@given(
    seed=st.integers(0, 2**32 - 1),
    decimals=st.sampled_from([1, 2, 6]),
    sizes=st.lists(st.integers(1, 12), min_size=2, max_size=5),
)
@settings(max_examples=25, deadline=None)
def test_any_pairs_equal_the_slow_routine(
    rule: str, seed: int, decimals: int, sizes: list[int]
) -> None:
    score, same, fold = random_pairs(seed, decimals, sizes)
    assume(all(0 < same[fold != own].mean() < 1 for own in np.unique(fold)))
    check_against_oracle(rule, score, same, fold)


def check_against_oracle(rule: str, score: np.ndarray, same: np.ndarray, fold: np.ndarray) -> None:
    result = verify_scores(score, same, fold, rule=rule)
    thresholds = ORACLES[rule](score, same, fold)
    assert list(result.thresholds) == thresholds
    rows = zip(score, same, fold, strict=True)
    correct = [slow_decision(rule, s, bool(y), thresholds[f]) for s, y, f in rows]
    assert result.correct_P.tolist() == correct
    per_fold = [np.mean(np.array(correct)[fold == own]) for own in np.unique(fold)]
    assert list(result.fold_accuracies) == per_fold
    assert result.accuracy == np.mean(per_fold)


@pytest.mark.parametrize("rule", RULES)
def test_no_fold_sees_its_own_pairs(rule: str) -> None:
    score, same, fold = random_pairs(3, 6, [40, 60, 50])
    before = verify_scores(score, same, fold, rule=rule).thresholds
    score[fold == 1] = -score[fold == 1]
    same[fold == 1] = ~same[fold == 1]
    after = verify_scores(score, same, fold, rule=rule).thresholds
    assert after[1] == before[1]
    assert after[0] != before[0]


@pytest.mark.parametrize(
    ("rule", "score", "threshold", "same_is_right", "different_is_right"),
    [
        ("insightface", 0.5, 1.0, False, True),
        ("facex", 0.001, 0.001, False, False),
        ("lfs", 0.001, 0.001, True, False),
    ],
)
def test_a_pair_on_the_threshold(
    rule: str, score: float, threshold: float, same_is_right: bool, different_is_right: bool
) -> None:
    # The first fold fixes the threshold of the second: the first grid distance above .995, or
    # the first of a thousand steps from 0 to 1.
    training = [-1.0, -1.0, 0.5025, 0.5025] if rule == "insightface" else [0.0, 0.0, 1.0, 1.0]
    same = [False, False, True, True]
    result = verify_scores(
        [*training, score, score], [*same, True, False], [0] * 4 + [1] * 2, rule=rule
    )
    assert result.thresholds[1] == threshold
    assert result.correct_P[4:].tolist() == [same_is_right, different_is_right]


def test_lfs_counts_from_half_a_bin_and_two_millionths_below() -> None:
    # The different pair at .000501 lies above .0005 and below .000502: it is not accepted at the
    # first threshold, .001, which therefore separates the classes.
    training, truth = [0.0, 0.000501, 1.0, 1.0], [False, False, True, True]
    result = verify_scores(training * 2, truth * 2, [0] * 4 + [1] * 4, rule="lfs")
    assert result.thresholds == (0.001, 0.001)


@pytest.mark.parametrize("rule", RULES)
def test_embeddings_and_their_cosines_agree(rule: str) -> None:
    generator = np.random.default_rng(5)
    _, same, fold = random_pairs(5, 6, [100, 100, 100])
    first = generator.normal(size=(300, 16))
    second = generator.normal(size=(300, 16)) + np.where(same, 1.0, 0.2)[:, None] * first
    first, second = (side / np.linalg.norm(side, axis=1)[:, None] for side in (first, second))
    result = verify(first, second, same, fold, rule=rule, flip="sum")
    assert (result.rule, result.flip) == ("facex-zoo" if rule == "facex" else rule, "sum")
    assert_allclose(result.scores_P, np.sum(first * second, axis=1), atol=1e-6)
    expected = verify_scores(result.scores_P, same, fold, rule=rule)
    assert result.accuracy == expected.accuracy


def test_a_zero_embedding_has_the_distance_one_to_a_unit_vector() -> None:
    sides = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    others = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    result = verify(sides, others, [True, False, True, False], [0, 0, 1, 1])
    assert result.scores_P.tolist() == [0.5, 0.0, 1.0, 0.0]


def test_zero_embeddings_are_counted() -> None:
    generator = np.random.default_rng(6)
    sides = generator.normal(size=(2, 40, 3))
    sides[0, [3, 7]] = 0
    sides[1, [7, 20]] = 0
    sides[0, 9, 0] = 0
    _, same, fold = random_pairs(6, 6, [4] * 10)
    assert verify(*sides, same, fold).notes == ("3 of 40 pairs have a zero embedding",)


def test_fewer_than_ten_folds_are_said() -> None:
    assert verify_scores(*golden_pairs()).notes == ()
    few = verify_scores(*random_pairs(3, 6, [20] * 9))
    assert few.notes == ("9 folds, published results have 10",)


def test_rules_have_one_name_each() -> None:
    assert RULE_NAMES == ("insightface", "facex-zoo", "lfs")
    pairs = golden_pairs()
    short, long = (verify_scores(*pairs, rule=rule) for rule in ("facex", "facex-zoo"))
    assert short.rule == long.rule == "facex-zoo"
    assert short.fold_accuracies == long.fold_accuracies


def test_an_unknown_rule_is_refused_with_those_there_are() -> None:
    message = "one of insightface, facex-zoo, lfs, found 'lfw'"
    with pytest.raises(ValueError, match=message):
        verify_scores(SCORES, SAME, FOLDS, rule="lfw")
    with pytest.raises(ValueError, match=message):
        verify(np.ones((4, 2)), np.ones((4, 2)), SAME, FOLDS, rule="lfw")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_distances_in_portions_have_the_bits_of_whole_ones(dtype: type) -> None:
    generator = np.random.default_rng(11)
    first, second = generator.normal(size=(2, 300, 200)).astype(dtype)
    measured = RULES["insightface"].measure(first, second)
    assert measured.dtype == dtype
    assert (measured == np.sum(np.square(first - second), axis=1)).all()


def test_fold_numbers_are_only_names() -> None:
    score, same, fold = random_pairs(7, 3, [30, 20, 50])
    expected = verify_scores(score, same, fold)
    renamed = verify_scores(score, same, np.array([4, 17, 90])[fold])
    assert renamed.thresholds == expected.thresholds
    mixed = np.random.default_rng(0).permutation(100)
    assert verify_scores(score[mixed], same[mixed], fold[mixed]).accuracy == expected.accuracy


SCORES, SAME, FOLDS = [0.9, 0.1, 0.8, 0.2], [True, False, True, False], [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("scores", "same", "fold", "message"),
    [
        ([0.9, np.nan, 0.8, 0.2], SAME, FOLDS, "found nan at pair 1"),
        (SCORES, SAME, [0, 0, 0, 0], "at least 2 folds, found 1"),
        (SCORES, [True, True, True, False], FOLDS, "besides fold 1 .* found 2 same of 2"),
        (SCORES, [True, False, False, False], FOLDS, "besides fold 0 .* found 0 same of 2"),
        (SCORES[:3], SAME, FOLDS, "one entry a pair"),
        ([], [], [], "at least 2 folds, found 0"),
    ],
)
def test_what_cannot_be_computed_is_refused(
    scores: list[float], same: list[bool], fold: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        verify_scores(scores, same, fold)
    assert "\n" not in str(caught.value)


def test_sides_of_different_shape_are_refused() -> None:
    with pytest.raises(DataError, match=r"\(4, 2\) and \(4, 3\)"):
        verify(np.ones((4, 2)), np.ones((4, 3)), SAME, FOLDS)


def test_six_thousand_pairs_take_milliseconds() -> None:
    pairs = golden_pairs()
    took = []
    for _ in range(5):
        start = time.process_time()
        verify_scores(*pairs)
        took.append(time.process_time() - start)
    assert min(took) < 0.05
