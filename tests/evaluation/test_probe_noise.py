"""Wrong photos leave, or become the centre of their person."""

from __future__ import annotations

import numpy as np
import pytest
from exact_rows import unit_people
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation.probe_noise import NOISY_PROBES, clean_probes


def test_left_out_with_people_who_keep_one_photo() -> None:
    rows, who = np.arange(14.0).reshape(7, 2), np.array(list("aaabbcc"))
    noisy = [False, True, False, False, True, False, False]
    kept, names = clean_probes(rows, who, noisy, noise="left_out")
    assert kept.tolist() == rows[[0, 2, 5, 6]].tolist()
    assert names.tolist() == list("aacc")


def test_a_centre_is_the_unit_mean_of_the_right_photos() -> None:
    rows, who = unit_people(0, 3, 4)
    noisy = np.arange(12) % 4 == 1
    cleaned, names = clean_probes(rows, who, noisy, noise="class_centre")
    assert (names == who).all()
    assert (cleaned[~noisy] == rows[~noisy]).all()
    for person in range(3):
        mean = rows[(who == person) & ~noisy].mean(axis=0)
        assert_allclose(cleaned[4 * person + 1], mean / np.linalg.norm(mean), rtol=1e-12)


def test_jitter_keeps_two_centres_apart() -> None:
    rows, who = unit_people(1, 1, 5)
    noisy = [True, True, False, False, False]
    exact = clean_probes(rows, who, noisy, noise="class_centre")[0]
    shaken = clean_probes(rows, who, noisy, noise="class_centre", jitter=1e-3, seed=2)[0]
    again = clean_probes(rows, who, noisy, noise="class_centre", jitter=1e-3, seed=2)[0]
    assert (exact[0] == exact[1]).all()
    assert (shaken[0] != shaken[1]).any()
    assert (shaken == again).all()
    assert_allclose(shaken, exact, atol=3e-3)
    assert_allclose(np.linalg.norm(shaken, axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("noise", NOISY_PROBES)
def test_without_wrong_photos_nothing_changes(noise: str) -> None:
    rows, who = unit_people(2, 3, 2)
    cleaned, names = clean_probes(rows, who, np.zeros(6), noise=noise)
    assert (cleaned == rows).all()
    assert (names == who).all()


def test_what_cannot_be_cleaned_is_refused() -> None:
    rows, who = unit_people(3, 2, 2)
    with pytest.raises(DataError, match="needs a right photo, found none of 0"):
        clean_probes(rows, who, [True, True, False, False], noise="class_centre")
    with pytest.raises(DataError, match=r"found shapes \(4, 16\), \(4,\) and \(1,\)"):
        clean_probes(rows, who, [True], noise="left_out")
    with pytest.raises(ValueError, match="one of left_out, class_centre, found 'dropped'"):
        clean_probes(rows, who, np.zeros(4), noise="dropped")
