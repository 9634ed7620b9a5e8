"""Images that are in a set twice, or in two sets: by their pixels, and by perceptual hash.

Data flow: `Measured` of one or several sets -> here -> pairs of images -> findings, and the
removals of `overlap`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.doctor.finding import Finding, found, named
from lfs_ray.data.doctor.measuring import Measured
from lfs_ray.data.doctor.specimen import NO_LABEL, Specimen
from lfs_ray.data.hash_search import near_pairs
from lfs_ray.data.perceptual_hash import NEAR_BITS, NEAR_LIKENESS, likeness

_COMPARED_AT_ONCE = 1 << 16

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ImagePairs:
    """Pairs of images that show one picture."""

    first: Places
    """(P,)"""
    second: Places
    """(P,), larger than `first`."""
    likeness: NDArray[np.float32]
    """Likeness of the thumbnails, (P,); 1 for equal pixels."""

    def where(self, chosen: NDArray[np.bool_]) -> ImagePairs:
        """Some of the pairs."""
        return ImagePairs(self.first[chosen], self.second[chosen], self.likeness[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """What is compared of several sets, one after the other."""

    usable: NDArray[np.bool_]
    """Images that are decoded and not blank, (N,)."""
    digests: NDArray[np.uint64]
    """(N,)"""
    hashes: NDArray[np.uint64]
    """(N,)"""
    parts: tuple[Measured, ...]
    """The sets; an image's place counts through them."""

    @classmethod
    def of(cls, *parts: Measured) -> Joined:
        """Images of sets in the order given."""
        usable = np.concatenate([part.decoded & ~part.blank for part in parts])
        digests = np.concatenate([part.digests for part in parts])
        return cls(usable, digests, np.concatenate([part.hashes for part in parts]), parts)

    def thumbnails(self, places: Places) -> NDArray[np.uint8]:
        """Thumbnails of the images at `places`, (P, 16, 16)."""
        result = np.empty((len(places), *self.parts[0].thumbnails.shape[1:]), np.uint8)
        start = 0
        for part in self.parts:
            inside = (places >= start) & (places < start + len(part.decoded))
            result[inside] = part.thumbnails[places[inside] - start]
            start += len(part.decoded)
        return result


def equal_pairs(images: Joined) -> ImagePairs:
    """Each image whose pixels were there before, with the first that has them."""
    places = np.flatnonzero(images.usable)
    _, first, group = np.unique(images.digests[places], return_index=True, return_inverse=True)
    leader = first[group]
    copies = np.flatnonzero(leader != np.arange(len(places)))
    one = np.ones(len(copies), np.float32)
    return ImagePairs(places[leader[copies]], places[copies], one)


def equal_between(images: Joined, size: int) -> ImagePairs:
    """Each of the first `size` images that has its pixels in a later one, with the first such."""
    places = np.flatnonzero(images.usable)
    inner, outer = places[places < size], places[places >= size]
    kinds, first = np.unique(images.digests[outer], return_index=True)
    where = np.searchsorted(kinds, images.digests[inner])
    inside = np.flatnonzero(where < len(kinds))
    hits = inside[kinds[where[inside]] == images.digests[inner[inside]]]
    one = np.ones(len(hits), np.float32)
    return ImagePairs(inner[hits], outer[first[where[hits]]], one)


def alike_pairs(images: Joined) -> ImagePairs:
    """Pairs of images that are not equal, but near by hash and alike by thumbnail."""
    places = np.flatnonzero(images.usable)
    near = near_pairs(images.hashes[places], NEAR_BITS)
    first, second = places[near.first], places[near.second]
    different = images.digests[first] != images.digests[second]
    first, second = first[different], second[different]
    found_likeness = np.empty(len(first), np.float32)
    for start in range(0, len(first), _COMPARED_AT_ONCE):
        part = slice(start, start + _COMPARED_AT_ONCE)
        sides = images.thumbnails(first[part]), images.thumbnails(second[part])
        found_likeness[part] = likeness(*sides)
    return ImagePairs(first, second, found_likeness).where(found_likeness >= NEAR_LIKENESS)


def check_duplicates(specimen: Specimen, measured: Measured) -> list[Finding]:
    """Duplicates within a class and across classes; of a set without labels, none."""
    labels = specimen.labels
    if not len(labels) or (labels == NO_LABEL).all():
        return []
    images = Joined.of(measured)
    findings: list[Finding] = []
    for name, pairs in (("", equal_pairs(images)), ("near-", alike_pairs(images))):
        same = labels[pairs.first] == labels[pairs.second]
        for where, chosen in (("within", same), ("across", ~same)):
            kind = f"{name}duplicates-{where}"
            chosen_pairs = pairs.where(chosen)
            findings += _pairs_found(kind, chosen_pairs, chosen_pairs.second, _names(specimen))
    return findings


def check_between(
    specimen: Specimen, measured: Measured, others: Sequence[tuple[Specimen, Measured]]
) -> list[Finding]:
    """Duplicates of a set's images in each of some other sets."""
    findings: list[Finding] = []
    for other, other_measured in others:
        images = Joined.of(measured, other_measured)
        names, detail = _names(specimen, other), f"against {other.path}"
        for name, pairs in (
            ("duplicates-between-sets", equal_between(images, len(specimen))),
            ("near-duplicates-between-sets", alike_between(images, len(specimen))),
        ):
            findings += _pairs_found(name, pairs, pairs.first, names, detail)
    return findings


def alike_between(images: Joined, size: int) -> ImagePairs:
    """Pairs of `alike_pairs` of which one is among the first `size` images, the other is not."""
    pairs = alike_pairs(images)
    return pairs.where((pairs.first < size) & (pairs.second >= size))


def _names(*specimens: Specimen) -> Callable[[int], str]:
    ends = np.cumsum([len(specimen) for specimen in specimens])

    def name(place: int) -> str:
        number = int(np.searchsorted(ends, place, side="right"))
        return specimens[number].keys[place - (int(ends[number - 1]) if number else 0)]

    return name


def _pairs_found(
    kind: str, pairs: ImagePairs, counted: Places, name: Callable[[int], str], detail: str = ""
) -> list[Finding]:
    """Count images, not pairs: of three that are one picture, two are too many."""
    best_first = np.argsort(-pairs.likeness, kind="stable")

    def described(row: int) -> str:
        return f"{name(int(pairs.first[row]))} = {name(int(pairs.second[row]))}"

    return found(kind, len(np.unique(counted)), named(best_first, described), detail)
