"""Metrics by name: the grammar, the measure behind each name, and its standard error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from exact_rows import unit_people
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation.all_pairs import score_all_pairs
from lfs_ray.evaluation.classification import target_ranks
from lfs_ray.evaluation.distractors import identify
from lfs_ray.evaluation.evidence import NEEDS, Evidence
from lfs_ray.evaluation.identification import Gallery, ijb_1n
from lfs_ray.evaluation.metrics import (
    METRICS,
    Metric,
    known_metrics,
    parse_metric,
    standard_error,
)
from lfs_ray.evaluation.reid import reidentify_images
from lfs_ray.evaluation.retrieval import average_precision_at, rank_images, retrieve
from lfs_ray.evaluation.roc import area_under_curve, equal_error_rate, tar_at_far
from lfs_ray.evaluation.val_far import val_at_far
from lfs_ray.evaluation.verification import verify

NAMES = (
    *("accuracy", "accuracy@rule=facex-zoo", "accuracy@rule=lfs", "val@far=1e-2"),
    *("tar@far=0.1", "tar@far=0.1,rule=nearest", "tar@rule=tinyface,far=1e-2", "1-eer", "auc"),
    *("rank1", "rank5", "map", "minp", "precision@1", "r_precision", "map@r", "map@k=3"),
    *("tpir@fpir=0.1", "megaface", "megaface@rank=2"),
    *("tpr@fpr=1e-3", "top1", "top5", "0.7*accuracy + 0.3*tar@far=1e-1"),
)


def evidence(seed: int = 0, people: int = 40, each: int = 5, pairs: int = 600) -> Evidence:
    """Images of some people, pairs of them in ten folds, and thirty people with one image."""
    rows, who = unit_people(seed, people, each, dimensions=8)
    alone = unit_people(seed + 1, 30, 1, dimensions=8)[0]
    generator = np.random.default_rng(seed)
    first = generator.integers(0, people * each, pairs)
    same = np.arange(pairs) % 2 == 0
    mate = first // each * each + (first + generator.integers(1, each, pairs)) % each
    stranger = (first + each * generator.integers(1, people, pairs)) % (people * each)
    centres = rows.reshape(people, each, -1).sum(axis=1)
    return Evidence(
        embeddings_ND=np.concatenate([rows, alone]),
        identity_N=np.concatenate([who, people + np.arange(30)]),
        first_P=first,
        second_P=np.where(same, mate, stranger),
        same_P=same,
        fold_P=np.arange(pairs) * 10 // pairs,
        class_rank_N=np.append(target_ranks(rows @ centres.T, who), np.full(30, 7)),
    )


def scores_of(given: Evidence) -> np.ndarray:
    return np.sum(given.embeddings_ND[given.first_P] * given.embeddings_ND[given.second_P], axis=1)


def expected_values(given: Evidence) -> dict[str, float]:
    """Each name's value from the function that stands for it."""
    rows, who = given.embeddings_ND, given.identity_N
    sides, truth = (rows[given.first_P], rows[given.second_P]), (given.same_P, given.fold_P)
    scores = scores_of(given)
    split = scores[given.same_P], scores[~given.same_P]
    reid, found = reidentify_images(rows, who), retrieve(rows, who)
    accuracy = verify(*sides, *truth).accuracy
    tar = tar_at_far(*split, 0.1).tar
    first, probe = np.r_[np.arange(0, 200, 5), np.arange(200, 230)], np.arange(200) % 5 > 0
    gallery, probe = Gallery(rows[first], who[first]), np.flatnonzero(probe)
    hits = identify(rows[:200], who[:200], rows[200:], ranks=[1, 2])
    return {
        "accuracy": accuracy,
        "accuracy@rule=facex-zoo": verify(*sides, *truth, rule="facex").accuracy,
        "accuracy@rule=lfs": verify(*sides, *truth, rule="lfs").accuracy,
        "val@far=1e-2": val_at_far(scores, *truth, far=1e-2).val,
        "tar@far=0.1": tar,
        "tar@far=0.1,rule=nearest": tar_at_far(*split, 0.1, rule="nearest").tar,
        "tar@rule=tinyface,far=1e-2": tar_at_far(*split, 0.01, rule="tinyface").tar,
        "1-eer": 1 - equal_error_rate(*split).rate,
        "auc": area_under_curve(*split),
        "rank1": reid.rank(1),
        "rank5": reid.rank(5),
        "map": reid.mean_ap,
        "minp": reid.mean_inp,
        "precision@1": found.precision_at_1,
        "r_precision": found.r_precision,
        "map@r": found.map_at_r,
        "map@k=3": float(average_precision_at(rank_images(rows, who), 3).mean()),
        "tpr@fpr=1e-3": score_all_pairs(rows, who, [1e-3]).tpr_at_fpr(1e-3).tar,
        "tpir@fpir=0.1": ijb_1n(rows[probe], who[probe], [gallery]).found_rates[1],
        "megaface": hits.rate(30, 1),
        "megaface@rank=2": hits.rate(30, 2),
        "top1": float(np.mean(given.class_rank_N == 1)),
        "top5": float(np.mean(given.class_rank_N <= 5)),
        "0.7*accuracy + 0.3*tar@far=1e-1": 0.7 * accuracy + 0.3 * tar,
    }


def test_values_are_those_of_the_protocols() -> None:
    given = evidence()
    expected = expected_values(given)
    assert set(expected) == set(NAMES)
    for name in NAMES:
        value = parse_metric(name).measure(given).value
        assert_allclose(value, expected[name], rtol=1e-12, err_msg=name)
        assert 0.02 < value < 1 or name == "top5", f"{name}: {value} tells nothing"


def test_every_family_is_tried() -> None:
    tried = {term.kind.measure for name in NAMES for term in parse_metric(name).terms}
    assert tried == {kind.measure for kind in METRICS.values()}


@pytest.mark.parametrize("name", NAMES)
def test_contributions_add_up_to_the_value(name: str) -> None:
    measured = parse_metric(name).measure(evidence())
    total = sum(part.weight * np.mean(part.values_P) for part in measured.contributions)
    # Both halves of an AUC have its mean; an interpolated EER lies between two pairs.
    expected = 2 * measured.value if name == "auc" else measured.value
    assert_allclose(total, expected, atol=2 / 300 if name == "1-eer" else 1e-12)
    assert standard_error(measured, seed=0) > 0


@pytest.mark.parametrize("name", NAMES)
def test_people_apart_are_perfect_under_every_metric(name: str) -> None:
    given = evidence()
    who = given.identity_N
    rows = np.eye(70)[who]
    apart = replace(given, embeddings_ND=rows, class_rank_N=np.ones(len(who), int))
    assert parse_metric(name).measure(apart).value == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_names_are_read_back(name: str) -> None:
    metric = parse_metric(name)
    assert parse_metric(metric.name) == metric
    assert metric.needs <= set(NEEDS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("accuracy", "accuracy@rule=insightface"),
        ("accuracy@rule=facex", "accuracy@rule=facex-zoo"),
        ("tar@far=1e-3", "tar@far=0.001,rule=at_most"),
        (" tar @ rule = nearest , far = 1e-3 ", "tar@far=0.001,rule=nearest"),
        ("rank20", "rank20"),
        ("tpir@fpir=.1", "tpir@fpir=0.1,rule=ijb_1n"),
        ("val@far=1e-3", "val@far=0.001,rule=adjacent"),
        ("megaface", "megaface@rank=1"),
        ("1*auc", "auc"),
        ("2*auc", "2*auc"),
        (".5*auc+5e-1*1-eer", "0.5*auc + 0.5*1-eer"),
        ("2e+1*auc+map@r", "20*auc + 1*map@r"),
        ("0.123456789*auc", "0.123456789*auc"),
    ],
)
def test_canonical_names(text: str, name: str) -> None:
    assert parse_metric(text).name == name


@given(weights=st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=4))
def test_any_weights_are_read_back(weights: list[float]) -> None:
    metric = parse_metric(" + ".join(f"{weight!r}*rank1" for weight in weights))
    assert [term.weight for term in metric.terms] == weights
    assert parse_metric(metric.name) == metric


@pytest.mark.parametrize("name", known_metrics())
def test_names_shown_in_messages_are_good(name: str) -> None:
    assert isinstance(parse_metric(name), Metric)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be one of accuracy@rule=insightface, .*top1.* found ''"),
        ("acuracy", "found 'acuracy'"),
        ("eer", "found 'eer'; larger is better, so the EER is written 1-eer"),
        ("rank", "found 'rank'"),
        ("rank0", "found 'rank0'"),
        ("rank@k=1", "found 'rank@k=1'"),
        ("auc +", "found ''"),
        ("map@k", "map@k needs its k, as in map@k=10"),
        ("map@k=0", "k must be a whole number from 1, found '0'"),
        ("map@k=2.5", "k must be a whole number from 1, found '2.5'"),
        ("tar", "tar needs its far, as in tar@far=1e-3,rule=at_most; found 'tar'"),
        ("tar@far=0", "far must be between 0 and 1, found 0"),
        ("tar@far=1", "far must be between 0 and 1, found 1"),
        ("tar@far=nan", "far must be between 0 and 1, found nan"),
        ("tar@far=low", "far must be a number, found 'low'"),
        ("tar@far=1e-3,rule=exact", "one of at_most, nearest, tinyface, found 'exact'"),
        ("tar@far=1e-3,nearest", "key=value, each once, found 'nearest'"),
        ("tar@far=1e-3,far=1e-2", "key=value, each once, found 'far=1e-2'"),
        ("accuracy@rule=lfw", "one of insightface, facex-zoo, facex, lfs, found 'lfw'"),
        ("tpir@fpir=0.1,rule=ijb_evals", "rule of tpir must be one of ijb_1n, found 'ijb_evals'"),
        ("megaface@rank=0", "rank must be a whole number from 1, found '0'"),
        ("accuracy@far=1e-3", "metric accuracy knows rule, found 'far'"),
        ("auc@far=1e-3", "metric auc has no options, found 'far'"),
        ("0*auc", "weights of a metric must be positive, found 0"),
        ("-1*auc", "weights of a metric must be positive, found -1"),
        ("nan*auc", "weights of a metric must be positive, found nan"),
        ("inf*auc", "weights of a metric must be positive, found inf"),
        ("half*auc", "the weight must be a number, found 'half'"),
    ],
)
def test_names_not_understood_are_refused_with_what_there_is(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_metric(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "without", "message"),
    [
        ("auc", "fold_P", "metric auc must have pairs, found no fold_P"),
        ("rank1", "embeddings_ND", "metric rank1 must have labelled images"),
        ("top1", "class_rank_N", "metric top1 must have class ranks"),
        ("auc + rank5", "identity_N", "found no identity_N"),
    ],
)
def test_evidence_that_is_missing_is_said(name: str, without: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        parse_metric(name).measure(replace(evidence(), **{without: None}))
    assert "\n" not in str(caught.value)


def test_megaface_needs_people_with_one_image() -> None:
    given = evidence()
    without = replace(
        given, embeddings_ND=given.embeddings_ND[:200], identity_N=given.identity_N[:200]
    )
    with pytest.raises(DataError, match="found 0 images and 200: use rank5 instead"):
        parse_metric("megaface@rank=5").measure(without)


def test_what_a_metric_needs() -> None:
    assert parse_metric("auc + accuracy").needs == {"pairs"}
    assert parse_metric("auc + rank1 + top5").needs == set(NEEDS)


def test_parts_and_notes_of_a_sum() -> None:
    given = evidence()
    measured = parse_metric("2*tar@far=1e-3 + accuracy").measure(given)
    named = dict(measured.parts)
    tar, accuracy = named["tar@far=0.001,rule=at_most"], named["accuracy@rule=insightface"]
    assert measured.value == pytest.approx(2 * tar + accuracy, rel=1e-15)
    assert measured.notes == (
        "tar@far=0.001,rule=at_most reached FAR 0",
        "tar@far=0.001,rule=at_most: fewer than ten impostor pairs decide, use a larger FAR",
    )
    few = replace(given, fold_P=given.fold_P % 2)
    notes = parse_metric("accuracy + accuracy@rule=lfs").measure(few).notes
    assert notes == ("2 folds, published results have 10",)


def test_cameras_decide_what_is_a_mate() -> None:
    given = evidence()
    camera = np.arange(230) % 2
    plain, ruled = (
        parse_metric("rank1").measure(replace(given, camera_N=cameras)).value
        for cameras in (None, camera)
    )
    assert ruled == reidentify_images(given.embeddings_ND, given.identity_N, camera_N=camera).rank(
        1
    )
    assert ruled != plain


def test_a_weighted_sum_has_the_error_of_correlated_parts() -> None:
    # The same metric twice: the errors add, not their squares.
    given = evidence()
    alone = standard_error(parse_metric("auc").measure(given), seed=1)
    twice = standard_error(parse_metric("0.5*auc + 1.5*auc").measure(given), seed=1)
    assert_allclose(twice, 2 * alone, rtol=1e-12)


def distinct_people(seed: int, pairs: int = 400) -> Evidence:
    """Pairs with people of their own, so that all are independent; overlapping scores."""
    generator = np.random.default_rng(seed)
    same = np.arange(pairs) % 2 == 0
    cos = np.clip(generator.normal(np.where(same, 0.5, 0.2), 0.15), -1, 1)
    rows = np.zeros((2 * pairs, 2))
    rows[0::2, 0] = 1
    rows[1::2] = np.stack([cos, np.sqrt(1 - cos**2)], axis=1)
    first = np.arange(0, 2 * pairs, 2)
    identity = np.arange(2 * pairs)
    identity[first[same] + 1] = first[same]
    return Evidence(
        embeddings_ND=rows,
        identity_N=identity,
        first_P=first,
        second_P=first + 1,
        same_P=same,
        fold_P=np.arange(pairs) * 10 // pairs,
    )


@pytest.mark.parametrize("name", ["1-eer", "auc", "0.5*auc + 0.5*accuracy"])
def test_the_error_is_the_deviation_over_new_pairs(name: str) -> None:
    metric = parse_metric(name)
    measured = [metric.measure(distinct_people(seed)) for seed in range(300)]
    true = np.std([one.value for one in measured])
    estimates = [
        standard_error(one, samples=100, seed=seed) for seed, one in enumerate(measured[::30])
    ]
    assert_allclose(np.sqrt(np.mean(np.square(estimates))), true, rtol=0.2)
