"""Probes against distractors: MegaFace and its like, Trillion-Pairs, TinyFace.

Files of the set -> here -> embeddings, those of the distractors block by block -> rows.
"""

from __future__ import annotations

import os

import numpy as np

from lfs_ray.data.protocols.megaface import read_megaface
from lfs_ray.data.protocols.probes import ProbeSet, read_probe_folders
from lfs_ray.data.protocols.tinyface import read_tinyface
from lfs_ray.data.protocols.trillion_pairs import read_trillion_pairs
from lfs_ray.data.store import ImageStore, open_store
from lfs_ray.driver.evaluate.embeddings import Embeddings, unit_blocks
from lfs_ray.driver.evaluate.request import EvaluationRequest
from lfs_ray.driver.evaluate.table import Appraisal, Row, joined
from lfs_ray.driver.evaluate.templates import one_to_many_rows
from lfs_ray.errors import DataError
from lfs_ray.evaluation.all_pairs import score_all_pairs
from lfs_ray.evaluation.distractors import Identification, identify
from lfs_ray.evaluation.embedding import unit_rows
from lfs_ray.evaluation.identification import Gallery, tinyface
from lfs_ray.evaluation.roc import OperatingPoint
from lfs_ray.training.embedder import Progress

MEGAFACE_FARS = (1e-6, 1e-5, 1e-4)
TRILLION_FPRS = (1e-9, 1e-8, 1e-6, 1e-4, 1e-3)
RANKS = (1, 10)


def appraise_megaface(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None = None
) -> Appraisal:
    """MegaFace's own lists: with all images, and without those that noise lists name.

    Raises:
        DataError: a list or image is missing.
    """
    probes = read_megaface(request.target)
    parts = [_identified(request, probes, embeddings, "uncleaned", progress)]
    if probes.noisy_probe_P.any() or probes.noisy_distractor_D.any():
        cleaned = probes.without_noise()
        parts.append(_identified(request, cleaned, embeddings, "noise left out", progress))
    return joined(parts)


def appraise_probes(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None = None
) -> Appraisal:
    """The same protocol on any folder of people and any folder of other images.

    Raises:
        DataError: `--distractors` was not given, or a folder has no images.
    """
    if not request.distractors:
        raise DataError("the protocol probes needs other images, found none: give --distractors")
    probes = read_probe_folders(request.target, request.distractors)
    return _identified(request, probes, embeddings, "", progress)


def appraise_trillion_pairs(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None = None
) -> Appraisal:
    """TPR at FPRs over all pairs of probes, and of probes with distractors.

    Raises:
        DataError: a list or image is missing.
    """
    if not request.distractors or not request.images:
        raise DataError(
            "the protocol trillion-pairs needs a list of distractors and the images, found "
            "neither or one: give --distractors LIST and --images DIR"
        )
    probes = read_trillion_pairs(request.target, request.distractors, request.images)
    stores = _stores(probes)
    fprs = tuple(request.fars) or TRILLION_FPRS
    rows_PD = unit_rows(embeddings.raw(stores[0], probes.probe_keys, progress))
    pairs = score_all_pairs(
        rows_PD.astype(np.float32),
        probes.person_P,
        fprs,
        distractors=unit_blocks(embeddings, stores[1], probes.distractor_keys),
    )
    count = len(pairs.genuine_G) + pairs.num_impostors
    rows = [_point_row(request.set_name, pairs.tpr_at_fpr(fpr), "tpr@fpr", count) for fpr in fprs]
    return Appraisal(rows=rows)


def appraise_tinyface(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None = None
) -> Appraisal:
    """Rank-1, 5 and 20 of probes in a gallery with distractors.

    Raises:
        DataError: a list or image is missing.
    """
    tiny = read_tinyface(request.target)
    store = open_store(request.images or tiny.root)
    keys = (*tiny.probe_keys, *tiny.gallery_keys, *tiny.distractor_keys)
    rows = unit_rows(embeddings.raw(store, keys, progress))
    probes = len(tiny.probe_keys)
    nobody = np.full(len(tiny.distractor_keys), -1, np.int64)
    gallery = Gallery(rows[probes:], np.concatenate([tiny.gallery_person_G, nobody]))
    found = tinyface(rows[:probes], tiny.probe_person_P, gallery)
    return Appraisal(rows=list(one_to_many_rows(request.set_name, found, "far", "dir")))


def _identified(
    request: EvaluationRequest,
    probes: ProbeSet,
    embeddings: Embeddings,
    noise: str,
    progress: Progress | None,
) -> Appraisal:
    stores = _stores(probes)
    rows_PD = unit_rows(embeddings.raw(stores[0], probes.probe_keys, progress))
    with_mates = np.bincount(probes.person_P)[probes.person_P] > 1
    found = identify(
        rows_PD[with_mates].astype(np.float32),
        probes.person_P[with_mates],
        unit_blocks(embeddings, stores[1], probes.distractor_keys, progress),
        ranks=RANKS,
        fars=tuple(request.fars) or MEGAFACE_FARS,
    )
    name = f"{request.set_name} ({noise})" if noise else request.set_name
    rows = [*_rank_rows(name, found), *_far_rows(name, found)]
    sizes = np.array(found.sizes, np.int64)
    return Appraisal(rows=rows, cmc={f"{name}, rank 1": (sizes, found.hit_rate_SK[:, 0])})


def _rank_rows(name: str, found: Identification) -> list[Row]:
    return [
        Row(
            set=name,
            metric=f"rank{rank} of {size} distractors",
            rule="megaface",
            value=found.rate(size, rank),
            count=found.num_genuine,
        )
        for rank in found.ranks
        for size in found.sizes
    ]


def _far_rows(name: str, found: Identification) -> list[Row]:
    count = found.num_genuine + found.num_impostors
    return [_point_row(name, point, "tar@far", count) for point in found.verification]


def _point_row(name: str, point: OperatingPoint, what: str, count: int) -> Row:
    few = ", fewer than ten impostors decide" if point.few_impostors else ""
    return Row(
        set=name,
        metric=f"{what}={point.far:g}",
        rule=point.rule,
        value=point.tar,
        count=count,
        note=f"reached {point.far_reached:.2g}{few}",
    )


def _stores(probes: ProbeSet) -> tuple[ImageStore | None, ImageStore | None]:
    """Stores of probes and distractors; None where the images are not there."""
    first, second = (
        open_store(root) if os.path.exists(root) else None
        for root in (probes.probe_root, probes.distractor_root)
    )
    return first, second
