"""All pairs against nested loops over every pair."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from exact_rows import exact_rows, people, unit_people
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation import all_pairs
from lfs_ray.evaluation.all_pairs import score_all_pairs
from lfs_ray.evaluation.matrix_blocks import BlockedRows
from lfs_ray.evaluation.roc import tar_at_far

FPRS = [0.0, 0.01, 0.1, 0.7]


def every_pair(
    rows: np.ndarray, who: np.ndarray, others: np.ndarray
) -> tuple[list[float], list[float]]:
    """Genuine and impostor scores."""
    genuine, impostor = [], []
    for one, two in combinations(range(len(rows)), 2):
        score = float(rows[one] @ rows[two])
        (genuine if who[one] == who[two] else impostor).append(score)
    impostor += [float(row @ other) for row in rows for other in others]
    return genuine, impostor


@given(
    seed=st.integers(0, 2**32 - 1),
    num=st.integers(2, 20),
    count=st.integers(1, 5),
    extra=st.integers(0, 9),
)
@settings(max_examples=100, deadline=None)
def test_any_images_equal_all_their_pairs(seed: int, num: int, count: int, extra: int) -> None:
    rows, who, others = (
        exact_rows(seed, num),
        people(seed, num, count),
        exact_rows(seed + 1, extra),
    )
    genuine, impostor = every_pair(rows, who, others)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(all_pairs, "_BLOCK", 4)
        if not genuine or not impostor:
            with pytest.raises(DataError, match="genuine and impostor"):
                score_all_pairs(rows, who, FPRS, distractors=others)
            return
        found = score_all_pairs(rows, who, FPRS, distractors=others)
    assert sorted(found.genuine_G.tolist()) == sorted(genuine)
    assert found.num_impostors == len(impostor)
    for fpr in FPRS:
        assert found.tpr_at_fpr(fpr) == tar_at_far(genuine, impostor, fpr, rule="at_most")


def test_each_genuine_pair_has_its_person() -> None:
    rows, who = exact_rows(2, 30), people(2, 30, 6)
    found = score_all_pairs(rows, who, [0.1])
    for name in np.unique(who):
        own = rows[who == name]
        scores = [float(one @ two) for one, two in combinations(own, 2)]
        assert sorted(found.genuine_G[found.identity_G == name].tolist()) == sorted(scores)


def test_distractors_may_come_in_blocks() -> None:
    rows, who = unit_people(0, 6, 4)
    others = unit_people(1, 10, 3)[0]
    blocks = BlockedRows(30, lambda: iter([others[:7], others[7:]]))
    whole = score_all_pairs(rows, who, [0.05], distractors=others).tpr_at_fpr(0.05)
    in_blocks = score_all_pairs(rows, who, [0.05], distractors=blocks).tpr_at_fpr(0.05)
    assert_allclose(in_blocks.threshold, whole.threshold, rtol=1e-12)
    assert in_blocks.tar == whole.tar


def test_single_precision_stays_single() -> None:
    rows, who = unit_people(0, 6, 4)
    found = score_all_pairs(rows.astype(np.float32), who, [0.1], distractors=rows)
    assert found.genuine_G.dtype == found.top_impostors.dtype == np.float32


def test_no_more_impostors_are_kept_than_decide() -> None:
    rows, who = unit_people(0, 20, 5)
    found = score_all_pairs(rows, who, [1e-3, 1e-2])
    assert len(found.top_impostors) == int(found.num_impostors * 1e-2) + 1
    with pytest.raises(ValueError, match=r"one that was asked for, not 0\.1"):
        found.tpr_at_fpr(0.1)


def test_separated_people_are_all_found() -> None:
    point = score_all_pairs(np.repeat(np.eye(4), 3, axis=0), np.repeat(range(4), 3), [0.0])
    assert point.tpr_at_fpr(0.0).tar == 1.0


@pytest.mark.parametrize(
    ("rows", "who", "message"),
    [
        (np.ones((3, 2)), [0, 1], r"found shapes \(3, 2\) and \(2,\)"),
        (np.array([[1.0], [np.nan], [0.0]]), [0, 0, 1], "must be finite"),
        (np.ones((3, 2)), [0, 1, 2], "found 0 and 3"),
        (np.ones((3, 2)), [0, 0, 0], "found 3 and 0"),
    ],
)
def test_sets_without_an_answer_are_refused(
    rows: np.ndarray, who: list[int], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        score_all_pairs(rows, who, [0.1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fpr", [-0.1, 1.0, np.nan])
def test_a_rate_is_below_one(fpr: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\)"):
        score_all_pairs(np.ones((3, 2)), [0, 0, 1], [fpr])
