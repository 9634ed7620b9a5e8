"""IJB-B and IJB-C: images to template features, pairs of templates to scores.

After raw embeddings of all images, before `roc` (1:1) and `identification` (1:N). As published
(deepinsight/insightface, eval_ijbc): sum of an image's views (option flip) -> its norm is kept
(option norm) or made 1 -> times the detector's score (option detector) -> mean within a media id
-> sum over the media of a template -> L2-normalised. In that repository's ijb_evals the flag
`use_norm_score` means the opposite of the option norm here.

Shapes: N images, D dimensions, T templates, P pairs, V views.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.errors import DataError
from lfs_ray.evaluation.embedding import unit_rows

Floats = NDArray[np.floating]
Indices = NDArray[np.int64]

_CHUNK_ROWS = 4096
_TILE = 1024
_CELLS_A_PAIR = 100


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """Unit features of templates."""

    template_T: NDArray[np.integer]
    """Template ids, rising."""
    features_TD: NDArray[np.float64]
    """Unit rows; zero where a template's images cancel out."""
    options: str
    """Which of flip, norm and detector were on."""

    def places(self, template_P: ArrayLike) -> Indices:
        """Rows of template ids, (P,).

        Raises:
            DataError: an id has no images.
        """
        wanted = np.asarray(template_P)
        place = np.searchsorted(self.template_T, wanted)
        place[place == len(self.template_T)] = 0
        unknown = np.flatnonzero(self.template_T[place] != wanted)
        if unknown.size:
            raise DataError(
                f"every template of a list must have images, found none for template "
                f"{wanted[unknown[0]]} ({unknown.size} entries in all): check the media list"
            )
        return np.asarray(place, np.int64)

    def pair_scores(
        self, first_template_P: ArrayLike, second_template_P: ArrayLike
    ) -> NDArray[np.float64]:
        """Cosines of listed pairs of templates, (P,); errors of `places`."""
        first, second = self.places(first_template_P), self.places(second_template_P)
        order = np.argsort(first, kind="stable")
        scores = np.empty(len(first))
        for start in range(0, len(self.template_T), _TILE):
            ends = np.searchsorted(first, [start, start + _TILE], sorter=order)
            pairs = order[slice(*ends)]
            scores[pairs] = self._tile_scores(start, first[pairs], second[pairs])
        return scores

    def _tile_scores(self, start: int, first_B: Indices, second_B: Indices) -> NDArray[np.float64]:
        """Scores of pairs whose first template is in the tile from `start` on."""
        tile_AD = self.features_TD[start : start + _TILE]
        # A product of a whole tile costs as much as so many rows fetched one by one.
        if len(first_B) * _CELLS_A_PAIR > len(tile_AD) * len(self.features_TD):
            return np.asarray((tile_AD @ self.features_TD.T)[first_B - start, second_B])
        scores = np.empty(len(first_B))
        for begin in range(0, len(first_B), _CHUNK_ROWS):
            part = slice(begin, begin + _CHUNK_ROWS)
            sides = self.features_TD[first_B[part]], self.features_TD[second_B[part]]
            scores[part] = np.einsum("pd,pd->p", *sides)
        return scores


def aggregate_templates(
    *views_ND: Floats,
    template_N: ArrayLike,
    media_N: ArrayLike,
    detector_N: ArrayLike | None = None,
    norm: bool = True,
) -> Templates:
    """Template features of raw embeddings; a few thousand rows are in work at a time.

    Args:
        views_ND: raw embeddings of the images and, with flip, of their mirrors; may be
            memory-mapped.
        template_N, media_N: ids of each image, integers.
        detector_N: the face detector's score of each image; None: option off.
        norm: keep each image's norm as its weight; False: unit rows first.

    Raises:
        DataError: lengths differ, there is no image, or a value is not finite.

    >>> rows = np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    >>> aggregate_templates(rows, template_N=[5, 5, 5], media_N=[1, 2, 2]).features_TD.round(3)
    array([[0.707, 0.707]])
    """
    template, media = np.asarray(template_N), np.asarray(media_N)
    weight_N = None if detector_N is None else np.asarray(detector_N, np.float64)
    _check(views_ND, template, media, weight_N)
    order = np.lexsort((media, template))
    template, media = template[order], media[order]
    starts = np.flatnonzero(np.concatenate([[True], template[1:] != template[:-1]]))
    sums_TD = np.empty((len(starts), views_ND[0].shape[1]))
    for groups, rows in _chunks(starts, len(order)):
        faces = _weighted(views_ND, order[rows], norm, weight_N)
        sums_TD[groups] = _sum_of_media_means(faces, template[rows], media[rows])
    options = ["flip"] * (len(views_ND) == 2) + ["norm"] * norm
    options += ["detector"] * (weight_N is not None)
    return Templates(template[starts], unit_rows(sums_TD), ", ".join(options) or "none")


def _chunks(starts: Indices, num_rows: int) -> Iterator[tuple[slice, slice]]:
    """Whole templates and their rows, about _CHUNK_ROWS at once."""
    ends = np.append(starts[1:], num_rows)
    first = 0
    while first < len(starts):
        reach = int(np.searchsorted(ends, starts[first] + _CHUNK_ROWS, side="right"))
        last = max(reach, first + 1)
        yield slice(first, last), slice(int(starts[first]), int(ends[last - 1]))
        first = last


def _weighted(
    views_ND: tuple[Floats, ...], rows: Indices, norm: bool, weight_N: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """One row a face, as it enters the mean of its media."""
    faces = views_ND[0][rows].astype(np.float64)
    for view_ND in views_ND[1:]:
        faces += view_ND[rows]
    if not np.isfinite(faces).all():
        bad = int(rows[np.flatnonzero(~np.isfinite(faces).all(axis=1))[0]])
        raise DataError(
            f"embeddings must be finite, found NaN or infinity for image {bad}: "
            "check the weights and the precision"
        )
    if not norm:
        faces = unit_rows(faces)
    return faces if weight_N is None else faces * weight_N[rows, None]


def _sum_of_media_means(
    faces_AD: NDArray[np.float64], template_A: Indices, media_A: Indices
) -> NDArray[np.float64]:
    """Sums over media of the means within each, for rows sorted by template and media."""
    new_template = np.concatenate([[True], template_A[1:] != template_A[:-1]])
    new_media = new_template | np.concatenate([[True], media_A[1:] != media_A[:-1]])
    starts = np.flatnonzero(new_media)
    sizes = np.diff(np.append(starts, len(faces_AD)))
    means = np.add.reduceat(faces_AD, starts, axis=0) / sizes[:, None]
    return np.asarray(np.add.reduceat(means, np.flatnonzero(new_template[starts]), axis=0))


def _check(
    views_ND: tuple[Floats, ...],
    template: NDArray[np.generic],
    media: NDArray[np.generic],
    weight: NDArray[np.float64] | None,
) -> None:
    if len(views_ND) not in (1, 2):
        raise ValueError(f"there must be one or two views of each image, got {len(views_ND)}")
    shapes = {view.shape for view in views_ND}
    size = len(views_ND[0])
    given = [("template", template), ("media", media)]
    given += [] if weight is None else [("detector score", weight)]
    for name, values in given:
        if len(shapes) > 1 or views_ND[0].ndim != 2 or size == 0 or values.shape != (size,):
            raise DataError(
                f"every image must have an embedding of each view and a {name}, found shapes "
                f"{', '.join(map(str, sorted(shapes)))} and {values.shape}"
            )
    if weight is not None and not np.isfinite(weight).all():
        bad = int(np.flatnonzero(~np.isfinite(weight))[0])
        raise DataError(f"detector scores must be finite, found {weight[bad]} for image {bad}")
