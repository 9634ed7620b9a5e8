"""Flipped labels: as many as asked, evenly, the same for ever, no class emptied."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import sick_sets
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from sick_sets import fresh_copy, packed

from lfs_ray.data.doctor.opening import open_specimen
from lfs_ray.data.label_noise import flip_labels, most_similar, usable_labels, write_noisy
from lfs_ray.data.sources import open_faces
from lfs_ray.errors import DataError

LABELS = np.repeat(np.arange(20), 30)


@given(st.integers(2, 8), st.integers(1, 6), st.floats(0, 0.5), st.integers(0, 2**62))
def test_flips_the_share_and_empties_no_class(
    classes: int, images: int, share: float, seed: int
) -> None:
    labels = np.repeat(np.arange(classes), images)
    # With one image a class, a flip needs a class that got another.
    assume(images > 1 or round(share * classes) == 0)
    flipped = flip_labels(labels, share, seed)
    assert (flipped != labels).sum() == round(share * len(labels))
    assert np.array_equal(np.unique(flipped), np.arange(classes))
    assert np.array_equal(flipped, flip_labels(labels, share, seed))


def test_another_seed_flips_others() -> None:
    one, other = (flip_labels(LABELS, 0.3, seed) for seed in (0, 1))
    assert (one != other).sum() > 100


def test_the_flips_are_these_for_ever() -> None:
    """Raw words of PCG64: a change of the draw would make old studies unrepeatable."""
    flipped = flip_labels(np.repeat(np.arange(4), 4), 0.5, seed=7)
    assert flipped.tolist() == GOLDEN


GOLDEN = [0, 0, 0, 3, 3, 2, 1, 2, 1, 2, 3, 2, 3, 0, 0, 3]


def test_targets_are_any_other_class_alike() -> None:
    labels = np.repeat(np.arange(5), 4000)
    flipped = flip_labels(labels, 0.5, 3)
    table = np.array(
        [[((labels == a) & (flipped == b)).sum() for b in range(5)] for a in range(5)]
    )
    off = table[~np.eye(5, dtype=bool)].reshape(5, 4)
    assert stats.chisquare(off.ravel()).pvalue > 1e-4
    assert stats.chisquare(np.diag(table)).pvalue > 1e-4


def test_which_images_are_flipped_does_not_depend_on_their_class() -> None:
    flipped = flip_labels(LABELS, 0.5, 5) != LABELS
    by_class = [flipped[label == LABELS].sum() for label in range(20)]
    assert stats.chisquare(by_class).pvalue > 1e-4


def test_similar_goes_to_the_neighbours_only() -> None:
    neighbours = np.array([[1, 2], [2, 0], [0, 1], [1, 0]])
    labels = np.repeat(np.arange(4), 500)
    flipped = flip_labels(labels, 0.4, 0, neighbours_CK=neighbours)
    for label in range(4):
        targets, counts = np.unique(
            flipped[(labels == label) & (flipped != labels)], return_counts=True
        )
        assert set(targets.tolist()) == set(neighbours[label].tolist())
        assert counts.min() > 60


def test_most_similar_is_sorted_and_never_the_class_itself() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(9, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    nearest = most_similar(rows, 3)
    for row in range(9):
        order = sorted(set(range(9)) - {row}, key=lambda other: -float(rows[row] @ rows[other]))
        assert nearest[row].tolist() == order[:3]
    assert most_similar(rows[:3], 5).shape == (3, 2)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_refuses_a_share_without_sense(share: float) -> None:
    with pytest.raises(DataError, match="share"):
        flip_labels(LABELS, share, 0)


def test_refuses_what_would_empty_a_class() -> None:
    with pytest.raises(DataError, match="2 classes"):
        flip_labels(np.zeros(5, int), 0.2, 0)
    with pytest.raises(DataError, match="only 0 of 2"):
        flip_labels(np.arange(4), 0.5, 0)
    assert (flip_labels(LABELS, 1, 0) != LABELS).all()


@pytest.fixture
def set_of_faces(tmp_path: Path) -> Path:
    return packed(sick_sets.write_faces(tmp_path / "faces"))


def test_the_list_trains_beside_the_same_lmdb(set_of_faces: Path, tmp_path: Path) -> None:
    specimen = open_specimen(set_of_faces)
    flipped = flip_labels(usable_labels(specimen), 0.25, 1)
    manifest = write_noisy(specimen, flipped, {"share": 0.25}, tmp_path / "noisy.txt")
    faces = open_faces([str(set_of_faces)], [str(tmp_path / "noisy.txt")])
    clean = open_faces([str(set_of_faces)])
    assert faces.num_classes == clean.num_classes
    assert list(faces.keys) == list(clean.keys)
    assert np.array_equal(faces.labels, flipped)
    assert manifest["flipped"] == int((faces.labels != clean.labels).sum()) == 36
    faces.check()


def test_the_manifest_says_what_was_done(set_of_faces: Path, tmp_path: Path) -> None:
    specimen = open_specimen(set_of_faces)
    flipped = flip_labels(specimen.labels, 0.25, 1)
    facts: dict[str, object] = {"kind": "symmetric", "share": 0.25, "seed": 1}
    for name in ("a", "b"):
        write_noisy(specimen, flipped, facts, tmp_path / f"{name}.txt")
    text = (tmp_path / "a.txt.json").read_text()
    assert text == (tmp_path / "b.txt.json").read_text()
    manifest = json.loads(text)
    assert {key: manifest[key] for key in facts} == facts
    packed_manifest = json.loads((set_of_faces / "manifest.json").read_text())
    assert manifest["source_checksum"] == packed_manifest["checksum"]
    for key, file in (
        ("list_sha256", tmp_path / "a.txt"),
        ("source_list_sha256", set_of_faces / "list.txt"),
    ):
        assert manifest[key] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_refuses_labels_with_gaps_and_its_own_list(set_of_faces: Path, tmp_path: Path) -> None:
    specimen = open_specimen(set_of_faces)
    with pytest.raises(DataError, match="new file"):
        write_noisy(specimen, specimen.labels, {}, set_of_faces / "list.txt")
    root = fresh_copy(tmp_path / "faces", tmp_path / "copy")
    gap = sick_sets.label_gap(root)
    with pytest.raises(DataError, match="gaps"):
        usable_labels(open_specimen(gap.path, gap.list_file))
