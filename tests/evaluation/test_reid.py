"""Re-identification against the golden ranking, sorted lists and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from exact_rows import exact_rows, people, unit_people
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score

from lfs_ray.errors import DataError
from lfs_ray.evaluation import ranking
from lfs_ray.evaluation.reid import reidentify, reidentify_images, reidentify_scores

Seeds = st.integers(0, 2**32 - 1)


def test_golden_ranking() -> None:
    # negative, mate, mate by the query's camera (removed), mate, negative, mate
    result = reidentify_scores(
        [[6.0, 5.0, 4.0, 3.0, 2.0, 1.0]],
        ["a"],
        ["b", "a", "a", "a", "c", "a"],
        query_camera_Q=[1],
        gallery_camera_G=[1, 2, 1, 2, 1, 3],
    )
    assert result.cmc((1, 2)) == (0.0, 1.0)
    assert_allclose(result.mean_ap, 0.588888889, atol=5e-10)
    assert result.mean_inp == 3 / 5
    assert result.num_queries == 1


def kept_matches(score_G: np.ndarray, mate_G: np.ndarray, removed_G: np.ndarray) -> list[bool]:
    """Mates in the order of a stable sort, removed entries left out."""
    order = sorted(range(len(score_G)), key=lambda place: -score_G[place])
    return [bool(mate_G[place]) for place in order if not removed_G[place]]


def slow_measures(lists: list[list[bool]], k: int) -> tuple[float, float, float]:
    """CMC(k), mAP, mINP of lists of matches, by their definitions."""
    hits, precisions, penalties = [], [], []
    for matches in lists:
        if not any(matches):
            continue
        ranks = [place for place, match in enumerate(matches, start=1) if match]
        hits.append(any(matches[:k]))
        precisions.append(np.mean([sum(matches[:rank]) / rank for rank in ranks]))
        penalties.append(len(ranks) / ranks[-1])
    return float(np.mean(hits)), float(np.mean(precisions)), float(np.mean(penalties))


@given(seed=Seeds, queries=st.integers(1, 12), entries=st.integers(1, 25), cameras=st.booleans())
@settings(max_examples=120, deadline=None)
def test_any_gallery_equals_sorted_lists(
    seed: int, queries: int, entries: int, cameras: bool
) -> None:
    query, gallery = exact_rows(seed, queries), exact_rows(seed + 1, entries)
    asked, there = people(seed, queries, 3), people(seed + 1, entries, 3)
    generator = np.random.default_rng(seed)
    cam_q, cam_g = generator.integers(0, 2, queries), generator.integers(0, 2, entries)
    given_cameras = {"query_camera_Q": cam_q, "gallery_camera_G": cam_g} if cameras else {}
    lists = []
    for place in range(queries):
        mates = there == asked[place]
        removed = mates & (cam_g == cam_q[place]) & cameras
        lists.append(kept_matches(gallery @ query[place], mates, removed))
    if not any(any(matches) for matches in lists):
        with pytest.raises(DataError, match="must have a mate"):
            reidentify(query, gallery, asked, there, **given_cameras)
        return
    result = reidentify(query, gallery, asked, there, **given_cameras)
    assert result.num_queries == sum(any(matches) for matches in lists)
    assert result.ranks.query_Q.tolist() == [
        place for place, matches in enumerate(lists) if any(matches)
    ]
    for k in (1, 3):
        expected = slow_measures(lists, k)
        assert_allclose([result.rank(k), result.mean_ap, result.mean_inp], expected)


@given(seed=Seeds)
@settings(max_examples=50, deadline=None)
def test_every_image_against_all_others(seed: int) -> None:
    rows, who = exact_rows(seed, 15), people(seed, 15, 4)
    camera = np.random.default_rng(seed).integers(0, 3, 15)
    lists = []
    for place in range(15):
        mates = who == who[place]
        removed = (mates & (camera == camera[place])) | (np.arange(15) == place)
        lists.append(kept_matches(rows @ rows[place], mates & ~removed, removed))
    if any(any(matches) for matches in lists):
        result = reidentify_images(rows, who, camera_N=camera)
        assert_allclose([result.rank(2), result.mean_ap, result.mean_inp], slow_measures(lists, 2))


def test_average_precision_is_scikit_learns() -> None:
    rows, who = unit_people(0, 12, 6)
    result = reidentify(rows[::3], rows[1::3], who[::3], who[1::3])
    expected = [
        average_precision_score(who[1::3] == person, rows[1::3] @ row)
        for row, person in zip(rows[::3], who[::3], strict=True)
    ]
    assert_allclose(result.average_precision_Q, expected, rtol=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, who = exact_rows(3, 60), people(3, 60, 9)
    whole = reidentify_images(rows, who).ranks
    monkeypatch.setattr(ranking, "_BLOCK_SCORES", 7 * 60)
    blocks = reidentify_images(rows, who).ranks
    assert blocks.rank_M.tolist() == whole.rank_M.tolist()
    assert blocks.query_Q.tolist() == whole.query_Q.tolist()


def test_known_answers() -> None:
    rows, who = np.repeat(np.eye(5), 4, axis=0), np.repeat(np.arange(5), 4)
    result = reidentify_images(rows, who)
    assert (result.rank(1), result.mean_ap, result.mean_inp) == (1.0, 1.0, 1.0)
    # Mates are opposite: three rows equal to the query first, then the opposite ones in order.
    worst = reidentify_images(np.array([[1.0], [-1.0]] * 4), np.repeat(np.arange(4), 2))
    assert worst.ranks.rank_M.tolist() == [4, 4, 5, 5, 6, 6, 7, 7]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_QD": np.ones((2, 4))}, r"one length, found shapes \(2, 4\) and \(3, 2\)"),
        ({"query_QD": np.ones((1, 2))}, "query embedding must have an identity, found 1 .* 2"),
        ({"gallery_GD": np.ones((4, 2))}, "gallery embedding must .* found 4 .* 3"),
        ({"gallery_GD": np.full((3, 2), np.nan)}, "gallery .* finite.* row 0"),
        ({"query_camera_Q": [0, 1]}, "both or neither"),
        ({"query_camera_Q": [0, 1], "gallery_camera_G": [0]}, "found 2 and 1 cameras"),
        ({"gallery_identity_G": ["x", "y", "z"]}, "must have a mate"),
    ],
)
def test_what_cannot_be_ranked_is_refused(change: dict, message: str) -> None:
    good = {
        "query_QD": np.ones((2, 2)),
        "gallery_GD": np.ones((3, 2)),
        "query_identity_Q": ["a", "b"],
        "gallery_identity_G": ["a", "b", "c"],
    }
    reidentify(**good)
    with pytest.raises(DataError, match=message) as caught:
        reidentify(**{**good, **change})
    assert "\n" not in str(caught.value)


def test_scores_must_be_a_matrix_of_queries_and_entries() -> None:
    with pytest.raises(DataError, match=r"found shape \(1, 2\) for 1 and 3"):
        reidentify_scores([[1.0, 2.0]], ["a"], ["a", "b", "c"])
