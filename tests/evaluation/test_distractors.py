"""Distractors against a loop over every photo that joins them and every probe."""

from __future__ import annotations

import numpy as np
import pytest
from exact_rows import exact_rows, unit_people
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from lfs_ray.errors import DataError
from lfs_ray.evaluation import distractors as module
from lfs_ray.evaluation.distractors import identify
from lfs_ray.evaluation.matrix_blocks import BlockedRows
from lfs_ray.evaluation.roc import tar_at_far

RANKS = (2, 1)
FARS = (0.0, 0.05, 0.4)


def photos(seed: int, people: int) -> tuple[np.ndarray, np.ndarray]:
    """Photos of people with two to four each, mixed."""
    generator = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), generator.integers(2, 5, people))
    return exact_rows(seed, len(who)), generator.permutation(who)


def slow_rate(probes: np.ndarray, who: np.ndarray, others: np.ndarray, rank: int) -> float:
    """Each photo joins the distractors in turn; its person's other photos look for it."""
    hits = []
    for mate in range(len(probes)):
        for probe in range(len(probes)):
            if probe != mate and who[probe] == who[mate]:
                best = sorted((float(other @ probes[probe]) for other in others), reverse=True)
                nth = best[rank - 1] if rank <= len(best) else -np.inf
                hits.append(float(probes[mate] @ probes[probe]) >= nth)
    return float(np.mean(hits))


def genuine_and_impostor(
    probes: np.ndarray, who: np.ndarray, others: np.ndarray
) -> tuple[list[float], list[float]]:
    size = range(len(probes))
    genuine = [
        float(probes[i] @ probes[j]) for i in size for j in size if i != j and who[i] == who[j]
    ]
    return genuine, [float(probe @ other) for probe in probes for other in others]


@given(
    seed=st.integers(0, 2**32 - 1),
    people=st.integers(1, 5),
    count=st.integers(2, 30),
    noise=st.sampled_from(["none", "removed", "zeroed"]),
)
@settings(max_examples=60, deadline=None)
def test_any_set_equals_every_trial(seed: int, people: int, count: int, noise: str) -> None:
    probes, who = photos(seed, people)
    others = exact_rows(seed + 1, count)
    noisy = np.random.default_rng(seed).random(count) < 0.3
    noisy[0] = False
    sizes = sorted({1, count // 2, count})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_TILE", 3)
        patch.setattr(module, "_BLOCK", 5)
        marks = {} if noise == "none" else {"noisy_N": noisy, "noise": noise}
        found = identify(probes, who, others, sizes=sizes, ranks=RANKS, fars=FARS, **marks)
    left = np.ones(count, bool)
    if noise == "removed":
        left = ~noisy
    if noise == "zeroed":
        others = np.where(noisy[:, None], 0, others)
    for row, size in enumerate(sizes):
        among = others[:size][left[:size]]
        expected = [slow_rate(probes, who, among, rank) for rank in RANKS]
        assert_allclose(found.hit_rate_SK[row], expected, rtol=1e-12)
        assert found.rate(size, 1) == found.hit_rate_SK[row, 1]
    assert_allclose(found.hit_GK.mean(axis=0), found.hit_rate_SK[-1])
    assert np.bincount(found.probe_G).tolist() == [np.sum(who == name) - 1 for name in who]
    genuine, impostor = genuine_and_impostor(probes, who, others[left])
    assert (found.num_genuine, found.num_impostors) == (len(genuine), len(impostor))
    for point, far in zip(found.verification, FARS, strict=True):
        assert point == tar_at_far(genuine, impostor, far, rule="at_most")


def test_sizes_are_powers_of_ten_and_all() -> None:
    probes, who = unit_people(0, 3, 2)
    result = identify(probes, who, unit_people(1, 245, 1)[0])
    assert result.sizes == (10, 100, 245)
    assert identify(probes, who, unit_people(1, 7, 1)[0]).sizes == (7,)
    assert identify(probes, who, unit_people(1, 100, 1)[0]).sizes == (10, 100)


def test_more_distractors_never_help() -> None:
    probes, who = unit_people(2, 10, 4)
    rates = identify(probes, who, unit_people(3, 3000, 1)[0]).hit_rate_SK[:, 0]
    assert (np.diff(rates) <= 0).all()
    assert rates[0] > rates[-1]


def test_a_file_in_memory_and_blocks_give_the_same(tmp_path: object) -> None:
    probes, who = unit_people(4, 8, 3)
    others = unit_people(5, 400, 1)[0].astype(np.float32)
    np.save(f"{tmp_path}/others.npy", others)
    mapped = np.load(f"{tmp_path}/others.npy", mmap_mode="r")
    blocks = BlockedRows(400, lambda: np.array_split(others, 7))
    expected = identify(probes, who, others, fars=[1e-2])
    for rows in (mapped, blocks):
        found = identify(probes, who, rows, fars=[1e-2])
        assert (found.hit_rate_SK == expected.hit_rate_SK).all()
        assert found.verification[0].tar == expected.verification[0].tar
    assert expected.noise == "none known"


def test_a_distractor_equal_to_the_mate_is_no_loss() -> None:
    # To the first probe the distractor is as near as its mate, to the second nearer.
    probes, others = np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([[0.6, 0.8], [0.8, 0.6]])
    assert identify(probes, [0, 0], others[:1], sizes=[1]).rate(1) == 0.5
    assert identify(probes, [0, 0], others, sizes=[2]).rate(2) == 0.0


def test_a_noisy_twin_of_the_probe_counts_only_if_it_takes_part() -> None:
    probes, others = np.eye(3)[[0, 0]] + 0.1, np.ones((2, 3))
    assert identify(probes, [0, 0], 5 * others).rate(2) == 0.0
    marked = {"noisy_N": [True, True]}
    zeroed = identify(probes, [0, 0], 5 * others, noise="zeroed", **marked)
    assert (zeroed.rate(2), zeroed.noise) == (1.0, "2 distractors zeroed")
    with pytest.raises(DataError, match="take part, found none among 2"):
        identify(probes, [0, 0], 5 * others, **marked)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"identity_P": [0, 0, 1]}, "two photos or more, found 1 with one, the first 1"),
        ({"identity_P": [0, 0]}, r"found shapes \(3, 2\) and \(2,\)"),
        ({"probes_PD": np.full((3, 2), np.nan)}, "must be finite"),
        ({"distractors": np.full((3, 2), np.inf)}, "infinity in row 0"),
        ({"noisy_N": [True]}, r"each of the 3 distractors, found shape \(1,\)"),
        ({"distractors": np.empty((0, 2))}, "found none among 0"),
        ({"probes_PD": np.empty((0, 2)), "identity_P": []}, "found none"),
    ],
)
def test_sets_without_an_answer_are_refused(change: dict, message: str) -> None:
    good = {"probes_PD": np.ones((3, 2)), "identity_P": [0] * 3, "distractors": np.ones((3, 2))}
    identify(**good)
    with pytest.raises(DataError, match=message) as caught:
        identify(**{**good, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"sizes": [4]}, r"a size must be in 1\.\.3"),
        ({"sizes": [0]}, r"a size must be in 1\.\.3"),
        ({"sizes": []}, "a size and a rank"),
        ({"ranks": []}, "a size and a rank"),
        ({"ranks": [0]}, "a rank must be at least 1"),
        ({"fars": [1.0]}, r"in \[0, 1\)"),
        ({"noise": "dropped"}, "one of removed, zeroed, found 'dropped'"),
    ],
)
def test_choices_that_are_none_are_refused(choice: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        identify(np.ones((3, 2)), [0] * 3, np.ones((3, 2)), **choice)
