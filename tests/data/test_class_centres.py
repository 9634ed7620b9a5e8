"""Centres, places of images and near centres against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from lfs_ray.data import class_centres
from lfs_ray.data.class_centres import Centres, near_centres, place_images


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def example(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.array([3, 3, 3, 0, 0, 7, 3, 0, 9, 9])
    return unit(rng.normal(size=(10, 4)) + labels[:, None] % 4), labels


def test_centres_are_sums_by_class() -> None:
    rows, labels = example()
    centres = class_centres.class_centres(rows, np.where(labels == 9, -1, labels))
    assert centres.labels.tolist() == [0, 3, 7]
    assert centres.counts.tolist() == [3, 4, 1]
    for label, total in zip(centres.labels, centres.sums_CD, strict=True):
        assert np.allclose(total, rows[labels == label].sum(axis=0))
    assert np.allclose(np.linalg.norm(centres.unit_CD, axis=1), 1)


@pytest.mark.parametrize("cells", [1, 7, 1 << 24])
def test_places_leave_the_image_itself_out(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_centres, "_BLOCK_CELLS", cells)
    rows, labels = example(1)
    placed = place_images(rows, labels, class_centres.class_centres(rows, labels))
    for place, label in enumerate(labels):
        others = (labels == label) & (np.arange(10) != place)
        if others.any():
            centre = unit(rows[others].sum(axis=0)[None])[0]
            assert placed.own[place] == pytest.approx(float(rows[place] @ centre))
        else:
            assert np.isnan(placed.own[place])
        rest = {
            other: float(rows[place] @ unit(rows[labels == other].sum(axis=0)[None])[0])
            for other in set(labels.tolist()) - {label}
        }
        assert placed.other[place] == pytest.approx(max(rest.values()))
        assert placed.other_label[place] == max(rest, key=lambda name: rest[name])


def test_a_class_without_centre_is_refused() -> None:
    rows, labels = example()
    centres = class_centres.class_centres(rows[:5], labels[:5])
    with pytest.raises(ValueError, match="centre"):
        place_images(rows, labels, centres)


@pytest.mark.parametrize("cells", [1, 1 << 24])
def test_near_centres(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_centres, "_BLOCK_CELLS", cells)
    rng = np.random.default_rng(2)
    first, second = unit(rng.normal(size=(6, 3))), unit(rng.normal(size=(5, 3)))
    wanted = [
        (i, j, float(first[i] @ second[j]))
        for i in range(6)
        for j in range(5)
        if first[i] @ second[j] >= 0.5
    ]
    got = near_centres(first, second, 0.5)
    assert [pair[:2] for pair in got] == [
        pair[:2] for pair in sorted(wanted, key=lambda pair: -pair[2])
    ]
    assert [pair[2] for pair in got] == pytest.approx(sorted((p[2] for p in wanted), reverse=True))
    once = {pair[:2] for pair in near_centres(first, first, -1, once=True)}
    assert once == {(i, j) for i in range(6) for j in range(i + 1, 6)}


def test_a_centre_of_length_zero_is_near_nothing() -> None:
    zero = Centres(np.array([0]), np.zeros((1, 3)), np.array([2]))
    assert (zero.unit_CD == 0).all()


def test_halves_join_to_the_whole() -> None:
    rows, labels = example(5)
    halves = class_centres.class_centres(rows, class_centres.half_labels(labels))
    whole, joined = class_centres.class_centres(rows, labels), class_centres.joined_halves(halves)
    assert joined.labels.tolist() == whole.labels.tolist()
    assert joined.counts.tolist() == whole.counts.tolist()
    assert np.allclose(joined.sums_CD, whole.sums_CD)
    assert class_centres.half_labels(np.array([-1, -1, 0]))[2] == 0


def test_the_cosine_of_one_person_is_that_of_its_halves() -> None:
    rng = np.random.default_rng(3)
    labels = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6])
    rows = unit(rng.normal(size=(len(labels), 6)))
    halves = class_centres.class_centres(rows, class_centres.half_labels(labels))
    cosines = []
    for label in range(1, 6):
        own = rows[labels == label]
        one, other = unit(np.array([own[0::2].sum(axis=0), own[1::2].sum(axis=0)]))
        cosines.append(float(one @ other))
    assert class_centres.same_person_cosine(halves) == pytest.approx(float(np.median(cosines)))
    few = class_centres.class_centres(rows[:16], class_centres.half_labels(labels[:16]))
    assert np.isnan(class_centres.same_person_cosine(few))
