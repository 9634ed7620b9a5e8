"""Top-k accuracy against scikit-learn and sorted lists, ties as stated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from lfs_ray.errors import DataError
from lfs_ray.evaluation import classification
from lfs_ray.evaluation.classification import target_ranks, top_k_accuracy


@pytest.mark.parametrize("k", [1, 2, 5])
def test_it_is_scikit_learns_without_ties(k: int) -> None:
    generator = np.random.default_rng(0)
    logits, target = generator.normal(size=(200, 12)), generator.integers(0, 12, 200)
    expected = top_k_accuracy_score(target, logits, k=k, labels=np.arange(12))
    assert top_k_accuracy(logits, target, k) == expected


@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_ties_go_to_the_smaller_class_number(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    logits, target = generator.integers(0, 3, (8, classes)), generator.integers(0, classes, 8)
    expected = []
    for row, label in zip(logits, target, strict=True):
        order = sorted(range(classes), key=lambda place: (-row[place], place))
        expected.append(order.index(label) + 1)
    assert target_ranks(logits, target).tolist() == expected


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    logits, target = generator.integers(0, 4, (50, 7)), generator.integers(0, 7, 50)
    whole = target_ranks(logits, target)
    monkeypatch.setattr(classification, "_BLOCK_SCORES", 21)
    assert target_ranks(logits, target).tolist() == whole.tolist()


def test_a_constant_classifier_is_right_for_class_zero_only() -> None:
    logits = np.zeros((10, 10))
    assert top_k_accuracy(logits, np.arange(10), 1) == 0.1
    assert top_k_accuracy(logits, np.arange(10), 5) == 0.5


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        ([[0.1, np.nan]], [0], "finite, found NaN or infinity for image 0"),
        ([[0.1, 0.2]], [2], r"in 0..1, found int64 from 2 to 2"),
        ([[0.1, 0.2]], [-1], "from -1 to -1"),
        ([[0.1, 0.2]], [0.0], "must be integers"),
        ([[0.1, 0.2]], [0, 1], r"found shapes \(1, 2\) and \(2,\)"),
        ([], [], "found shapes"),
    ],
)
def test_scores_without_an_answer_are_refused(
    logits: list[list[float]], target: list[float], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        target_ranks(logits, target)
    assert "\n" not in str(caught.value)
