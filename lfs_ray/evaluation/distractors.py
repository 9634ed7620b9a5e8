"""Identification and verification against many distractors, as MegaFace challenge 1.

After `embedding`, for any probe set of people with two photos or more and any distractor set.
Identification: each photo of a person with M photos in turn joins the distractors, the other
M - 1 are probes; a probe is a hit at rank N when its mate scores at least as high as the N-th
best distractor (published with JDAI-CV/FaceX-Zoo). Rank-N is also given among the first 10, 100,
... distractors in the order given. Verification: TAR at a FAR by rule `at_most`; genuine are the
ordered pairs within a person, impostors all probe x distractor pairs.

Products are taken in float32, block by block; only the best distractors of each probe and the top
impostor scores are kept. Distractors known to be noise are never matched, by one of

    removed   they take no part, neither as ranks nor as impostors (deepinsight/insightface gives
              them a further dimension that nothing is near to)
    zeroed    their rows are zero, they score 0 and count as impostors (JDAI-CV/FaceX-Zoo)

Shapes: P probes, D dimensions, N distractors, G ordered genuine pairs, K ranks, S sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.matrix_blocks import Rows, iterate, num_rows
from lfs_ray.evaluation.roc import OperatingPoint, num_allowed, point_of_largest
from lfs_ray.evaluation.top_scores import BestOfRows, TopScores

Float32s = NDArray[np.float32]
Indices = NDArray[np.int64]

NOISY_DISTRACTORS = ("removed", "zeroed")
_TILE = 1024
_BLOCK = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """Outcome of probes against distractors."""

    sizes: tuple[int, ...]
    """Numbers of distractors, rising; those removed as noise are not replaced."""
    ranks: tuple[int, ...]
    hit_rate_SK: NDArray[np.float64]
    """Share of (photo, probe) trials that are hits, for each size and rank."""
    verification: tuple[OperatingPoint, ...]
    """One for each FAR asked for, against all distractors."""
    num_probes: int
    num_genuine: int
    """Ordered pairs within a person: trials of each size, and genuine pairs."""
    num_impostors: int
    noise: str
    """What was done about noisy distractors."""
    probe_G: Indices
    """Probe of each trial."""
    hit_GK: NDArray[np.bool_]
    """Whether each trial is a hit, for each rank, at the largest size."""

    def rate(self, size: int, rank: int = 1) -> float:
        """Hit rate at one of the sizes and ranks."""
        return float(self.hit_rate_SK[self.sizes.index(size), self.ranks.index(rank)])


@dataclass(frozen=True, slots=True, eq=False)
class _Mates:
    """Ordered pairs within a person."""

    probe_G: Indices
    score_G: Float32s

    def hits(self, kth_best_PK: Float32s) -> NDArray[np.bool_]:
        """Whether a pair scores at least as high as its probe's N-th best distractor, (G, K)."""
        columns = [kth_best_P[self.probe_G] for kth_best_P in kth_best_PK.T]
        return np.stack([self.score_G >= column for column in columns], axis=1)


def identify(
    probes_PD: ArrayLike,
    identity_P: ArrayLike,
    distractors: Rows,
    *,
    sizes: Sequence[int] | None = None,
    ranks: Sequence[int] = (1,),
    fars: Sequence[float] = (1e-6,),
    noisy_N: ArrayLike | None = None,
    noise: str = "removed",
) -> Identification:
    """Hit rates among growing sets of distractors, and TAR at FARs against all of them.

    Args:
        probes_PD: unit rows; people with a single photo are refused, drop them before.
        identity_P: person of each probe, integers or strings.
        distractors: unit rows of other people: an array (it may be memory-mapped) or blocks.
        sizes: numbers of distractors; None: powers of ten up to all of them, and all of them.
        ranks: ranks N, each at least 1.
        fars: false accept rates, in [0, 1); the largest decides the memory.
        noisy_N: which distractors are known to be noise, boolean (N,).
        noise: a name in NOISY_DISTRACTORS: what is done about them.

    Raises:
        DataError: shapes don't fit, a value is not finite, a person has one photo.
        ValueError: a size, rank, rate or name is none.

    >>> probes = np.array([[1.0, 0.0], [0.8, 0.6]])
    >>> result = identify(probes, ["a", "a"], np.array([[0.0, 1.0], [-1.0, 0.0]]), fars=[0.3])
    >>> result.rate(size=2), result.verification[0].tar
    (1.0, 1.0)
    """
    probes, mates = _mates(probes_PD, identity_P)
    count = num_rows(distractors)
    kept = _kept(noisy_N, count, noise)
    impostors = len(probes) * _num_taking_part(kept, noise)
    sizes = tuple(_powers_of_ten(count) if sizes is None else sorted(set(sizes)))
    _check_choices(sizes, ranks, fars, count)
    top = TopScores(num_allowed(impostors, max(fars, default=0.0)) + 1)
    best = BestOfRows(len(probes), max(ranks))
    rates = []
    blocks = _cleaned(distractors, kept, noise, sizes)
    for done in _searched(probes, blocks, best, top):
        if done in sizes:
            hit_GK = mates.hits(best.kth(ranks))
            rates.append(hit_GK.mean(axis=0))
    return Identification(
        sizes=sizes,
        ranks=tuple(ranks),
        hit_rate_SK=np.array(rates),
        verification=tuple(_points(mates, top, impostors, fars)),
        num_probes=len(probes),
        num_genuine=len(mates.probe_G),
        num_impostors=impostors,
        noise="none known" if kept.all() else f"{int(np.sum(~kept))} distractors {noise}",
        probe_G=mates.probe_G,
        hit_GK=hit_GK,
    )


def _mates(probes_PD: ArrayLike, identity_P: ArrayLike) -> tuple[Float32s, _Mates]:
    """Probes in float32 and their ordered pairs within a person."""
    probes = np.asarray(probes_PD).astype(np.float32, copy=False)
    names, person = np.unique(np.asarray(identity_P), return_inverse=True)
    if probes.ndim != 2 or person.shape != probes.shape[:1]:
        raise DataError(
            f"every probe must have an identity, found shapes {probes.shape} and {person.shape}"
        )
    list(iterate(probes, _BLOCK))
    alone = np.flatnonzero(np.bincount(person, minlength=1) == 1)
    if len(probes) == 0 or alone.size:
        found = f"{len(alone)} with one, the first {names[alone[0]]}" if alone.size else "none"
        raise DataError(
            f"people of the probe set must have two photos or more, found {found}: drop them"
        )
    members = np.split(np.argsort(person, kind="stable"), np.cumsum(np.bincount(person))[:-1])
    owners, scores = [], []
    for photos in members:
        score_MM = probes[photos] @ probes[photos].T
        pairs = ~np.eye(len(photos), dtype=np.bool_)
        owners.append(np.broadcast_to(photos, pairs.shape)[pairs])
        scores.append(score_MM[pairs])
    return probes, _Mates(np.concatenate(owners), np.concatenate(scores))


def _cleaned(
    distractors: Rows, kept: NDArray[np.bool_], noise: str, sizes: Sequence[int]
) -> Iterator[tuple[int, Float32s]]:
    """Distractors given so far, and the rows of a block that take part."""
    for place, block in iterate(distractors, _BLOCK, sizes):
        done = place + len(block)
        rows = np.asarray(block, np.float32)
        part = kept[place:done]
        if not part.all():
            rows = rows[part] if noise == "removed" else rows * part[:, None]
        yield done, rows


def _searched(
    probes: Float32s, blocks: Iterator[tuple[int, Float32s]], best: BestOfRows, top: TopScores
) -> Iterator[int]:
    """Scores of all probes with each block, to the best of each probe and the largest of all.

    Gives the number of distractors done after each block. One product is under way while the
    scores of the one before are looked through, which leaves a core idle.
    """
    # Two buffers save the pages of a new matrix each time.
    buffers = np.empty((2, _TILE * _BLOCK), np.float32)
    waiting: _Waiting | None = None
    with ThreadPoolExecutor(1) as pool:
        for number, (start, block, done) in enumerate(_tiles(len(probes), blocks)):
            rows = probes[start : start + _TILE]
            out = buffers[number % 2, : len(rows) * len(block)].reshape(len(rows), -1)
            job = pool.submit(np.matmul, rows, block.T, out=out)
            if waiting is not None:
                yield from waiting.finish(best, top)
            waiting = _Waiting(start, job, done)
        if waiting is not None:
            yield from waiting.finish(best, top)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A product under way."""

    start: int
    scores: Future[Float32s]
    done: int | None
    """Distractors done with it, where it is the last of its block."""

    def finish(self, best: BestOfRows, top: TopScores) -> Iterator[int]:
        """Look through its scores."""
        score_BC = self.scores.result()
        if score_BC.size:
            top.offer_rows(score_BC, best.take(self.start, score_BC))
        if self.done is not None:
            yield self.done


def _tiles(
    num_probes: int, blocks: Iterator[tuple[int, Float32s]]
) -> Iterator[tuple[int, Float32s, int | None]]:
    """First probe, distractors, and how many are done after the last tile of a block."""
    last = (num_probes - 1) // _TILE * _TILE
    for done, block in blocks:
        for start in range(0, num_probes, _TILE):
            yield start, block, done if start == last else None


def _points(
    mates: _Mates, top: TopScores, impostors: int, fars: Sequence[float]
) -> Iterator[OperatingPoint]:
    falling = top.values()
    return (point_of_largest(mates.score_G, falling, impostors, far) for far in fars)


def _kept(noisy_N: ArrayLike | None, count: int, noise: str) -> NDArray[np.bool_]:
    if noise not in NOISY_DISTRACTORS:
        raise ValueError(f"noise must be one of {', '.join(NOISY_DISTRACTORS)}, found {noise!r}")
    noisy = np.zeros(count, np.bool_) if noisy_N is None else np.asarray(noisy_N, np.bool_)
    if noisy.shape != (count,):
        raise DataError(
            f"noise must be told for each of the {count} distractors, found shape {noisy.shape}"
        )
    return ~noisy


def _num_taking_part(kept: NDArray[np.bool_], noise: str) -> int:
    num = int(kept.sum()) if noise == "removed" else len(kept)
    if num == 0:
        raise DataError(f"there must be distractors that take part, found none among {len(kept)}")
    return num


def _check_choices(
    sizes: Sequence[int], ranks: Sequence[int], fars: Sequence[float], count: int
) -> None:
    if not sizes or not ranks:
        raise ValueError("there must be a size and a rank to report, found none")
    for size in sizes:
        if not 1 <= size <= count:
            raise ValueError(
                f"a size must be in 1..{count}, the number of distractors, not {size}"
            )
    for rank in ranks:
        if rank < 1:
            raise ValueError(f"a rank must be at least 1, found {rank}")
    for far in fars:
        if not 0 <= far < 1:
            raise ValueError(f"a false accept rate must be in [0, 1), found {far}")


def _powers_of_ten(count: int) -> list[int]:
    powers = [10**power for power in range(1, len(str(count))) if 10**power <= count]
    return sorted({*powers, count})
