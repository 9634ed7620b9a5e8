"""Template features against dictionaries of faces, media and templates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation import templates as module
from lfs_ray.evaluation.templates import aggregate_templates


def faces(
    seed: int, num: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two views, templates (ids with gaps), media shared by templates, detector scores."""
    generator = np.random.default_rng(seed)
    views = generator.normal(size=(2, num, 4))
    template = 7 * generator.integers(0, max(num // 4, 1), num) + 3
    return (*views, template, generator.integers(0, 5, num), generator.random(num) + 0.1)


def slow_features(
    views: list[np.ndarray],
    template: np.ndarray,
    media: np.ndarray,
    detector: np.ndarray | None,
    norm: bool,
) -> dict[int, np.ndarray]:
    by_template: dict[int, dict[int, list[np.ndarray]]] = {}
    for image in range(len(template)):
        face = sum(view[image] for view in views)
        if not norm:
            face = face / np.linalg.norm(face)
        if detector is not None:
            face = face * detector[image]
        by_template.setdefault(template[image], {}).setdefault(media[image], []).append(face)
    features = {}
    for name, all_media in by_template.items():
        total = sum(np.mean(group, axis=0) for group in all_media.values())
        features[name] = total / np.linalg.norm(total)
    return features


@given(
    seed=st.integers(0, 2**32 - 1),
    num=st.integers(1, 40),
    flip=st.booleans(),
    norm=st.booleans(),
    detector=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_any_images_equal_the_slow_routine(
    seed: int, num: int, flip: bool, norm: bool, detector: bool
) -> None:
    image, mirror, template, media, scores = faces(seed, num)
    views = [image, mirror] if flip else [image]
    weights = scores if detector else None
    expected = slow_features(views, template, media, weights, norm)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK_ROWS", 6)
        found = aggregate_templates(
            *views, template_N=template, media_N=media, detector_N=weights, norm=norm
        )
    assert found.template_T.tolist() == sorted(expected)
    for name, row in zip(found.template_T, found.features_TD, strict=True):
        assert_allclose(row, expected[name], atol=1e-12)


def test_a_video_of_many_faces_counts_as_one_medium() -> None:
    # Ten faces of one video and a photo at right angles: both directions weigh the same.
    rows = np.repeat(np.eye(2), [10, 1], axis=0)
    found = aggregate_templates(rows, template_N=np.zeros(11, int), media_N=[4] * 10 + [5])
    assert_allclose(found.features_TD, [[0.5**0.5, 0.5**0.5]], rtol=1e-15)


def test_options_are_named() -> None:
    image, mirror, template, media, scores = faces(0, 8)
    ids = {"template_N": template, "media_N": media}
    every = aggregate_templates(image, mirror, **ids, detector_N=scores)
    assert every.options == "flip, norm, detector"
    assert aggregate_templates(image, **ids, norm=False).options == "none"


@pytest.mark.parametrize("cells_a_pair", [0, 10**9])
def test_scores_of_listed_pairs(cells_a_pair: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image, _, template, media, _ = faces(1, 60)
    found = aggregate_templates(image, template_N=template, media_N=media)
    feature = dict(zip(found.template_T.tolist(), found.features_TD, strict=True))
    generator = np.random.default_rng(2)
    first, second = generator.choice(found.template_T, (2, 50))
    monkeypatch.setattr(module, "_CELLS_A_PAIR", cells_a_pair)
    monkeypatch.setattr(module, "_TILE", 4)
    monkeypatch.setattr(module, "_CHUNK_ROWS", 3)
    expected = [feature[a] @ feature[b] for a, b in zip(first, second, strict=True)]
    assert_allclose(found.pair_scores(first, second), expected, atol=1e-14)


@pytest.mark.parametrize("wanted", [4, 2, 10**6])
def test_a_template_without_images_is_refused(wanted: int) -> None:
    found = aggregate_templates(np.eye(3), template_N=[3, 5, 9], media_N=[0, 0, 0])
    with pytest.raises(DataError, match=rf"none for template {wanted} \(1 entries") as caught:
        found.pair_scores([3, 9], [wanted, 5])
    assert "\n" not in str(caught.value)


def test_images_that_cancel_out_leave_zero() -> None:
    rows = np.array([[1.0, 0.0], [-1.0, 0.0]])
    found = aggregate_templates(rows, template_N=[1, 1], media_N=[1, 2])
    assert found.features_TD.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"media_N": [1]}, r"a media, found shapes \(3, 2\) and \(1,\)"),
        ({"template_N": [1]}, r"a template, found"),
        ({"detector_N": [1.0]}, r"a detector score, found"),
        ({"detector_N": [1.0, np.nan, 1.0]}, "finite, found nan for image 1"),
    ],
)
def test_lists_that_do_not_fit_are_refused(change: dict, message: str) -> None:
    good = {"template_N": [1, 1, 2], "media_N": [1, 1, 1], "detector_N": [1.0] * 3}
    with pytest.raises(DataError, match=message) as caught:
        aggregate_templates(np.ones((3, 2)), **{**good, **change})
    assert "\n" not in str(caught.value)


def test_embeddings_must_be_finite_and_views_alike() -> None:
    rows, ids = np.ones((3, 2)), {"template_N": [2, 1, 1], "media_N": [1, 1, 1]}
    rows[1, 0] = np.nan
    with pytest.raises(DataError, match="infinity for image 1"):
        aggregate_templates(rows, **ids)
    with pytest.raises(DataError, match=r"\(3, 2\), \(3, 4\)"):
        aggregate_templates(np.ones((3, 2)), np.ones((3, 4)), **ids)
    with pytest.raises(ValueError, match="one or two views of each image, got 3"):
        aggregate_templates(*np.ones((3, 3, 2)), **ids)
