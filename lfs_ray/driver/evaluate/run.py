"""`lfs-ray evaluate` from its words to a table and pictures.

Request -> embeddings -> the protocol's appraisal -> table on the terminal, and a directory with
the table, the curves, the score histograms and the hardest errors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from lfs_ray.data.bin_convert import PAIRS_NAME
from lfs_ray.data.bin_set import read_bin_set
from lfs_ray.data.encoded_store import EncodedStore
from lfs_ray.data.pairs import Pairs, check_images, drop_missing, pairs_of_bin, read_pairs
from lfs_ray.data.protocols.rfw import read_rfw
from lfs_ray.data.store import ImageStore
from lfs_ray.data.writer import whole_directory
from lfs_ray.driver.evaluate.embeddings import CheckpointEmbeddings, Embeddings, open_embeddings
from lfs_ray.driver.evaluate.labelled import (
    appraise_classification,
    appraise_reid,
    appraise_retrieval,
)
from lfs_ray.driver.evaluate.pair_sets import PairOptions, appraise_groups, appraise_pairs
from lfs_ray.driver.evaluate.pictures import write_pictures
from lfs_ray.driver.evaluate.probes import (
    appraise_megaface,
    appraise_probes,
    appraise_tinyface,
    appraise_trillion_pairs,
)
from lfs_ray.driver.evaluate.request import (
    AGEDB_NAME,
    EvaluationRequest,
    detect_protocol,
    images_of,
)
from lfs_ray.driver.evaluate.table import Appraisal, Row, frame_of, joined
from lfs_ray.driver.evaluate.templates import appraise_ijb
from lfs_ray.training.embedder import Progress

TABLE_NAME = "table.csv"

Protocol = Callable[[EvaluationRequest, Embeddings, Progress | None], Appraisal]


def evaluate(
    request: EvaluationRequest, *, out: str = "", progress: Progress | None = None
) -> pd.DataFrame:
    """Evaluate, and write the new directory `out` unless it is "".

    Raises:
        LfsRayError: a file is missing, unreadable or doesn't fit; `out` exists.
    """
    name = request.protocol if request.protocol != "auto" else detect_protocol(request)
    embeddings = open_embeddings(request.source, flip=request.flip, threads=request.threads)
    appraisal = PROTOCOLS[name](request, embeddings, progress)
    table = frame_of(appraisal.rows, model=embeddings.name, flip=embeddings.flip)
    if out:
        with whole_directory(out) as folder:
            table.to_csv(folder / TABLE_NAME, index=False)
            write_pictures(appraisal, folder)
    return table


def _pairs(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None
) -> Appraisal:
    place = Path(request.target)
    if place.suffix == ".bin":
        bin_set = read_bin_set(place)
        store: ImageStore | None = EncodedStore(
            str(place), dict(zip(bin_set.keys(), bin_set.images, strict=True))
        )
        return _appraise(request, pairs_of_bin(bin_set, place), embeddings, store, progress)
    if place.is_dir():
        place = next(file for mark in (PAIRS_NAME, AGEDB_NAME) for file in place.glob(mark))
    pairs = read_pairs(place, request.format, shuffle_seed=request.shuffle_seed)
    store = images_of(request, str(place.parent), pairs.keys)
    return _appraise(request, pairs, embeddings, store, progress)


def _cfp(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None
) -> Appraisal:
    parts = []
    for name in (request.format,) if request.format else ("cfp-fp", "cfp-ff"):
        pairs = read_pairs(request.target, name)
        store = images_of(request, request.target, pairs.keys)
        parts.append(_appraise(request, pairs, embeddings, store, progress, name))
    return joined(parts)


def _rfw(
    request: EvaluationRequest, embeddings: Embeddings, progress: Progress | None
) -> Appraisal:
    groups = read_rfw(request.target)
    store = images_of(request, request.target, next(iter(groups.values())).keys)
    return appraise_groups(
        request.set_name, groups, embeddings, store, _options(request), progress
    )


def _appraise(
    request: EvaluationRequest,
    pairs: Pairs,
    embeddings: Embeddings,
    store: ImageStore | None,
    progress: Progress | None,
    name: str = "",
) -> Appraisal:
    rows = []
    if store is not None and isinstance(embeddings, CheckpointEmbeddings):
        if request.skip_missing:
            pairs, dropped = drop_missing(pairs, store)
            what, how = "pairs left out", "their images are missing"
            rows = [Row(set=name or request.set_name, metric=what, rule=how, value=dropped)]
        else:
            check_images(pairs, store)
    found = appraise_pairs(
        name or request.set_name, pairs, embeddings, store, _options(request), progress
    )
    return joined([found, Appraisal(rows=rows)])


def _options(request: EvaluationRequest) -> PairOptions:
    fars = tuple(request.fars) or PairOptions().fars
    return PairOptions(rules=request.rules, fars=fars, seed=request.seed)


PROTOCOLS: dict[str, Protocol] = {
    "pairs": _pairs,
    "cfp": _cfp,
    "rfw": _rfw,
    "ijb": appraise_ijb,
    "megaface": appraise_megaface,
    "probes": appraise_probes,
    "trillion-pairs": appraise_trillion_pairs,
    "tinyface": appraise_tinyface,
    "reid": appraise_reid,
    "retrieval": appraise_retrieval,
    "classification": appraise_classification,
}
"""Protocols by name."""
