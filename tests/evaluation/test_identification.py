"""1:N rules against versions written out probe by probe."""

from __future__ import annotations

import math

import numpy as np
import pytest
from exact_rows import exact_rows, unit_people
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation import best_mates
from lfs_ray.evaluation.identification import Gallery, ijb_1n, ijb_evals, tinyface

Seeds = st.integers(0, 2**32 - 1)
FPIRS = (0.01, 0.1, 0.5)
RANKS = (1, 2, 5)


def two_galleries(seed: int, people: int, probes: int) -> tuple[np.ndarray, np.ndarray, list]:
    """Probes and their people; each person has one entry in one of two galleries."""
    generator = np.random.default_rng(seed)
    who = generator.integers(0, people, probes)
    who[:2] = [0, people - 1]
    order = np.arange(people)
    rows = exact_rows(seed, people)
    half = people // 2
    galleries = [Gallery(rows[:half], order[:half]), Gallery(rows[half:], order[half:])]
    return exact_rows(seed + 1, probes), who, galleries


def place_of(scores: np.ndarray, mate: int) -> int:
    """Rank of an entry in a stable sort by falling score."""
    return sorted(range(len(scores)), key=lambda place: -scores[place]).index(mate) + 1


@given(seed=Seeds, people=st.integers(3, 10), probes=st.integers(2, 25))
@settings(max_examples=80, deadline=None)
def test_ijb_1n_is_the_joined_gallery(seed: int, people: int, probes: int) -> None:
    rows, who, galleries = two_galleries(seed, people, probes)
    scores = rows @ np.concatenate([gallery.rows_GD for gallery in galleries]).T
    ranks = [place_of(scores[probe], who[probe]) for probe in range(probes)]
    others = sorted(
        (scores[p, g] for p in range(probes) for g in range(people) if g != who[p]), reverse=True
    )
    result = ijb_1n(rows, who, galleries, ranks=RANKS, fpirs=FPIRS)
    assert_allclose(result.rank_rates, [np.mean([rank <= k for rank in ranks]) for k in RANKS])
    thresholds = [others[math.ceil(probes * fpir) - 1] for fpir in FPIRS]
    assert list(result.thresholds) == thresholds
    mates = scores[np.arange(probes), who]
    assert_allclose(result.found_rates, [np.mean(mates > value) for value in thresholds])
    assert (result.rule, result.num_probes) == ("ijb_1n", probes)


@given(seed=Seeds, people=st.integers(4, 10), probes=st.integers(4, 25))
@settings(max_examples=80, deadline=None)
def test_ijb_evals_is_gallery_by_gallery(seed: int, people: int, probes: int) -> None:
    rows, who, galleries = two_galleries(seed, people, probes)
    hits, found = np.zeros(len(RANKS)), []
    for gallery in galleries:
        scores = rows @ gallery.rows_GD.T
        mate_of = [
            list(gallery.identity_G).index(p) if p in gallery.identity_G else -1 for p in who
        ]
        mated = [probe for probe in range(probes) if mate_of[probe] >= 0]
        alone = [probe for probe in range(probes) if mate_of[probe] < 0]
        for column, k in enumerate(RANKS):
            hits[column] += sum(place_of(scores[p], mate_of[p]) <= k for p in mated)
        falling = sorted((scores[p].max() for p in alone), reverse=True)
        rates = []
        for fpir in FPIRS:
            threshold = falling[max(int(len(alone) * fpir) - 1, 0)]
            identified = 0
            for p in mated:
                mate = scores[p, mate_of[p]]
                best_other = max(np.delete(scores[p], mate_of[p]), default=-np.inf)
                identified += bool(mate > best_other and mate > threshold)
            rates.append(identified / len(mated))
        found.append(rates)
    result = ijb_evals(rows, who, galleries, ranks=RANKS, fpirs=FPIRS)
    assert_allclose(result.rank_rates, hits / probes)
    assert_allclose(result.found_rates, np.mean(found, axis=0))
    assert result.rule == "ijb_evals"


@given(seed=Seeds, probes=st.integers(2, 20), entries=st.integers(2, 25))
@settings(max_examples=80, deadline=None)
def test_tinyface_is_the_best_mate_and_the_strangers_best(
    seed: int, probes: int, entries: int
) -> None:
    generator = np.random.default_rng(seed)
    who, there = generator.integers(0, 4, probes), generator.integers(0, 4, entries)
    who[0], who[1] = there[0], 9
    rows, gallery = exact_rows(seed, probes), exact_rows(seed + 1, entries)
    scores = rows @ gallery.T
    ranks, mates, strangers = [], [], []
    for probe in range(probes):
        own = np.flatnonzero(there == who[probe])
        if not own.size:
            strangers.append(scores[probe].max())
            continue
        best = min(own, key=lambda place: (-scores[probe, place], place))
        ranks.append(place_of(scores[probe], best))
        mates.append(scores[probe, best])
    fars = (0.0, 0.3, 1.0)
    found = []
    for far in fars:
        count = round(len(strangers) * far)
        falling = sorted(strangers, reverse=True)
        threshold = falling[0] + 1e-5 if count == 0 else falling[count - 1]
        within = [rank <= 1 and mate >= threshold for rank, mate in zip(ranks, mates, strict=True)]
        found.append(np.mean(within))
    result = tinyface(rows, who, Gallery(gallery, there), ranks=(1, 5), fars=fars)
    assert_allclose(result.rank_rates, [np.mean([rank <= k for rank in ranks]) for k in (1, 5)])
    assert_allclose(result.found_rates, found)
    assert (result.rule, result.num_probes) == ("tinyface", len(mates))


def test_the_two_ijb_rules_differ() -> None:
    # Probe of person 0 is nearest to person 1: missed by ijb_evals, found by ijb_1n, whose
    # thresholds ignore ranks.
    gallery = [Gallery(np.eye(4)[:2], np.array([0, 1])), Gallery(np.eye(4)[2:], np.array([2, 3]))]
    probes = np.array([[0.6, 0.7, 0.0, 0.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0.1, 1]])
    one, other = (
        rule(probes, [0, 1, 2, 3], gallery, ranks=(1,), fpirs=(0.5,))
        for rule in (ijb_1n, ijb_evals)
    )
    assert one.rank_rates == other.rank_rates == (0.75,)
    assert (one.found_rates, other.found_rates) == ((1.0,), (0.75,))


def test_separated_people_are_all_found() -> None:
    galleries = [Gallery(np.eye(6)[:3], np.arange(3)), Gallery(np.eye(6)[3:], np.arange(3, 6))]
    for rule in (ijb_1n, ijb_evals):
        result = rule(np.eye(6), np.arange(6), galleries)
        assert (result.rank_rates, result.found_rates) == ((1.0, 1.0, 1.0), (1.0, 1.0))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, who, galleries = two_galleries(3, 9, 40)
    whole = ijb_1n(rows, who, galleries, fpirs=FPIRS)
    monkeypatch.setattr(best_mates, "_BLOCK_SCORES", 3 * 9)
    assert ijb_1n(rows, who, galleries, fpirs=FPIRS) == whole


def test_names_may_be_text() -> None:
    rows, who, galleries = two_galleries(3, 9, 40)
    names = np.array([f"name {number}" for number in range(9)])
    renamed = [Gallery(gallery.rows_GD, names[gallery.identity_G]) for gallery in galleries]
    assert ijb_evals(rows, names[who], renamed) == ijb_evals(rows, who, galleries)


GOOD = (np.eye(3), [0, 1, 2], [Gallery(np.eye(3)[:2], np.arange(2)), Gallery(np.eye(3)[2:], [2])])


@pytest.mark.parametrize(
    ("rule", "who", "message"),
    [
        (ijb_1n, [0, 1, 7], "one mate in the joined gallery, found 0 for probe 2"),
        (ijb_evals, [0, 0, 1], "found 3 of 3 with one"),
        (ijb_1n, [0, 1], r"found shapes \(3, 3\) and \(2,\)"),
    ],
)
def test_probes_without_an_answer_are_refused(rule: type, who: list[int], message: str) -> None:
    probes, _, galleries = GOOD
    with pytest.raises(DataError, match=message) as caught:
        rule(probes, who, [galleries[0], Gallery(galleries[1].rows_GD, np.array([2]))])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("probes", "gallery", "message"),
    [
        (np.full((1, 3), np.nan), np.eye(3), "must be finite"),
        (np.ones((1, 2)), np.eye(3), "found 2 and 3"),
        (np.empty((0, 3)), np.eye(3), "probe embeddings"),
    ],
)
def test_embeddings_that_do_not_fit_are_refused(
    probes: np.ndarray, gallery: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        tinyface(probes, [0] * len(probes), Gallery(gallery, np.arange(3)))


def test_tinyface_needs_mates_and_for_rates_strangers() -> None:
    rows, who = unit_people(0, 3, 2)
    gallery = Gallery(rows[::2], who[::2])
    with pytest.raises(DataError, match="must have a mate"):
        tinyface(rows, who + 10, gallery)
    with pytest.raises(DataError, match="must be impostor pairs"):
        tinyface(rows, who, gallery, fars=(0.1,))


@pytest.mark.parametrize("fpir", [0.0, 1.5, np.nan])
def test_an_fpir_is_a_rate(fpir: float) -> None:
    with pytest.raises(ValueError, match=r"in \(0, 1\]"):
        ijb_1n(*GOOD, fpirs=(fpir,))
