"""Single-gallery-shot CMC: exact where draws don't matter, expected where they do."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from exact_rows import exact_rows, people, unit_people
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation.reid import reidentify
from lfs_ray.evaluation.single_shot import single_shot


def test_with_one_image_a_person_it_is_the_plain_cmc() -> None:
    rows, _ = unit_people(0, 20, 3)
    query, gallery, names = rows[::3], rows[1::3], np.arange(20)
    drawn = single_shot(query, gallery, names, names, seed=0)
    assert drawn.rank_QR.shape == (20, 10)
    assert drawn.cmc((1, 5, 10)) == reidentify(query, gallery, names, names).cmc((1, 5, 10))


def exact_cmc(score_G: np.ndarray, who: np.ndarray, person: str, removed: np.ndarray) -> float:
    """Share of all possible galleries of one image a person in which the mate comes first."""
    choices = [
        [place for place in range(len(who)) if who[place] == name and not removed[place]]
        for name in sorted(set(who))
    ]
    hits = []
    for picked in product(*choices):
        order = sorted(sorted(picked), key=lambda place: -score_G[place])
        hits.append(who[order[0]] == person)
    return float(np.mean(hits))


def test_draws_are_even_over_the_images_left() -> None:
    who = np.array(["a", "a", "a", "b", "b", "c", "c", "c"])
    camera = np.array([0, 1, 2, 0, 1, 0, 1, 0])
    gallery, query = exact_rows(4, 8), exact_rows(5, 1)
    removed = (who == "a") & (camera == 1)
    expected = exact_cmc(gallery @ query[0], who, "a", removed)
    assert 0.05 < expected < 0.95
    drawn = single_shot(
        query, gallery, ["a"], who, seed=1, draws=4000, query_camera_Q=[1], gallery_camera_G=camera
    )
    assert_allclose(drawn.cmc((1,))[0], expected, atol=0.03)


def test_the_seed_decides() -> None:
    rows, who = unit_people(2, 10, 6)
    sides = rows[::2], rows[1::2], who[::2], who[1::2]
    one, again, other = (single_shot(*sides, seed=seed).rank_QR for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


def test_queries_without_a_mate_are_skipped() -> None:
    drawn = single_shot(exact_rows(0, 3), exact_rows(1, 4), ["a", "x", "b"], list("abab"), seed=0)
    assert len(drawn.rank_QR) == 2
    with pytest.raises(DataError, match="must have a mate"):
        single_shot(exact_rows(0, 1), exact_rows(1, 2), ["x"], people(0, 2, 2), seed=0)
