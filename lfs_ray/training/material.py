"""The data of a run: faces to train on, and pairs that give the reward.

Each process opens them itself; the same configuration gives the same material everywhere.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lfs_ray.config.sections import Config, ModelConfig, ReportConfig, RewardConfig
from lfs_ray.data.batch_pixels import LabelledImages
from lfs_ray.data.loader import decode_all
from lfs_ray.data.pairs import Pairs, check_images, make_pairs, read_pairs
from lfs_ray.data.sources import FaceSet, open_faces
from lfs_ray.data.split import split_identities, split_images
from lfs_ray.data.store import ImageStore, NamedImages, open_store
from lfs_ray.data.synthetic import DRAWING, SyntheticFaces, synthesize
from lfs_ray.errors import DataError
from lfs_ray.evaluation.verification import verify_scores
from lfs_ray.seeds import derive_seed

_SHOWN_NAMES = 10


@dataclass(frozen=True, slots=True, eq=False)
class PairSet:
    """Decoded images and the pairs among them."""

    images_KHWC: npt.NDArray[np.uint8]
    pairs: Pairs
    targets_K: npt.NDArray[np.int64] | None = None
    """Training class of each image, where they are images of the training classes."""


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Opened data of a run."""

    faces: FaceSet
    """What is trained on."""
    reward: PairSet
    """What the reward is measured on; its identities are not among `faces` if the split is
    ours."""
    held_out: npt.NDArray[np.int64] | None
    """Labels (of the joined sources) held out by the split; None where pairs were given."""
    people: frozenset[str] = frozenset()
    """Names of the people of `faces` and `reward`, as far as their images lie in folders."""

    def manifest(self) -> dict[str, object]:
        """Facts about the data, for the run's files."""
        return {
            "images": len(self.faces),
            "identities": self.faces.num_classes,
            "digest": self.faces.digest(),
            "reward_pairs": len(self.reward.pairs.same),
            "reward_images": len(self.reward.images_KHWC),
            "sources": [
                {
                    "source": source.source,
                    "offset": source.offset,
                    "identities": source.classes,
                    "images": source.images,
                }
                for source in self.faces.table
            ],
        }


def check_material(config: Config, material: Material) -> int:
    """Look up every key, decode a sample, judge all pairs: once in the driver, before workers.

    Returns:
        How many images of the sample are undecodable, at most `data.max_bad_images`.

    Raises:
        DataError: a key is missing, more images are undecodable than `data.max_bad_images`, or
            pairs can't be scored by the reward's rule.
    """
    undecodable = material.faces.check(max_bad_images=config.data.max_bad_images)
    if material.faces.num_classes < 2:
        raise DataError(
            f"a classifier needs at least 2 identities to train on, found "
            f"{material.faces.num_classes}: add some, or lower data.validation_share"
        )
    _check_folds(material.reward.pairs, config.reward, "the reward's pairs")
    for name, report in config.report.items():
        pairs, _ = _pairs_and_store(report)
        _check_folds(pairs, config.reward, f"report.{name}.pairs")
        if not report.shares_people:
            _check_people(pairs, material.people, name)
    return undecodable


def open_material(config: Config) -> Material:
    """Open the data of a run.

    Raises:
        DataError: whatever is missing, unreadable or inconsistent, one line.
    """
    data, model = config.data, config.model
    faces = open_faces(data.train or (synthetic_set(config),), data.lists)
    people = faces.people()
    if data.validation_pairs:
        report = ReportConfig(images=data.validation_images, pairs=data.validation_pairs)
        reward = open_pairs(report, model)
        return Material(faces, reward, None, people | reward.pairs.people())
    if data.validation_split == "images":
        return _hold_out_images(config, faces)
    kept, held_out = split_identities(faces.num_classes, data.validation_share, config.run.seed)
    validation = faces.select(held_out)
    pairs = make_pairs(
        validation.labels,
        seed=derive_seed(config.run.seed, "pairs"),
        per_fold=data.validation_pairs_per_fold,
    )
    chosen = np.array([int(key) for key in pairs.keys], np.int64)
    images_KHWC = _decode(validation, chosen, model)
    return Material(faces.select(kept), PairSet(images_KHWC, pairs), held_out, people)


def _hold_out_images(config: Config, faces: FaceSet) -> Material:
    """Some images of every identity are scored on: pairs among them, and their classes."""
    data = config.data
    kept, held_out = split_images(faces.labels, data.validation_share, config.run.seed)
    validation = _rows(faces, held_out)
    drawn = make_pairs(
        validation.labels,
        seed=derive_seed(config.run.seed, "pairs"),
        per_fold=data.validation_pairs_per_fold,
    )
    place = np.array([int(key) for key in drawn.keys], np.int64)
    pairs = replace(
        drawn,
        keys=tuple(map(str, range(len(validation)))),
        first=place[drawn.first],
        second=place[drawn.second],
        identity=validation.labels,
    )
    images_KHWC = _decode(validation, np.arange(len(validation)), config.model)
    reward = PairSet(images_KHWC, pairs, validation.labels)
    return Material(_rows(faces, kept), reward, None, faces.people())


def _rows(faces: FaceSet, chosen: npt.NDArray[np.int64]) -> FaceSet:
    """Some images of a set, of the same classes."""
    rows = chosen if faces.rows is None else faces.rows[chosen]
    return replace(faces, rows=rows, labels=faces.labels[chosen])


def open_pairs(report: ReportConfig, model: ModelConfig) -> PairSet:
    """Read a pair list and decode its images.

    Raises:
        DataError: the list doesn't parse, or names images that are missing or undecodable.
    """
    pairs, store = _pairs_and_store(report)
    images_KHWC = _decode(NamedImages(store, pairs.keys), np.arange(len(pairs.keys)), model)
    return PairSet(images_KHWC, pairs)


def synthetic_set(config: Config) -> str:
    """Path of the synthetic faces of a configuration; drawn where this machine has none yet.

    They lie in the user's cache (XDG_CACHE_HOME, else ~/.cache), one directory a specification.
    """
    data, size_px = config.data, config.model.input_size_px
    spec = SyntheticFaces(
        data.synthetic_identities, data.synthetic_images, size_px, data.synthetic_seed
    )
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lfs-ray")
    name = "-".join(
        str(part)
        for part in (
            f"synthetic{DRAWING}",
            spec.num_identities,
            spec.images_per_identity,
            size_px,
            spec.seed,
        )
    )
    path = cache / name
    if not path.exists():
        # Two processes of one machine may draw at once: the first to finish gives it its name.
        with contextlib.suppress(DataError):
            synthesize(spec, str(path))
        if not path.exists():
            synthesize(spec, str(path))
    return str(path)


def _pairs_and_store(report: ReportConfig) -> tuple[Pairs, ImageStore]:
    if not report.pairs:
        return _made_pairs(report)
    pairs, store = read_pairs(report.pairs), open_store(report.images)
    check_images(pairs, store)
    return pairs, store


def _made_pairs(report: ReportConfig) -> tuple[Pairs, ImageStore]:
    """Pairs of a packed set's own people, the same ones in every run."""
    faces = open_faces((report.images,))
    pairs = make_pairs(
        faces.labels, seed=derive_seed(0, "report pairs"), per_fold=report.pairs_per_fold
    )
    all_keys = faces.keys
    keys = tuple(all_keys[int(key)] for key in pairs.keys)
    return replace(pairs, keys=keys), faces.stores[0]


def _check_people(pairs: Pairs, people: frozenset[str], name: str) -> None:
    """Refuse a report set with people of the training or reward set: its figures would flatter."""
    shared = sorted(pairs.people() & people)
    if shared:
        shown = ", ".join(shared[:_SHOWN_NAMES]) + (", ..." if len(shared) > _SHOWN_NAMES else "")
        raise DataError(
            f"report.{name} must share no people with the training and reward sets, found "
            f"{len(shared)} by the names of their folders: {shown}: remove them, or set "
            f"report.{name}.shares_people = true where the names only look alike"
        )


def _check_folds(pairs: Pairs, reward: RewardConfig, name: str) -> None:
    """Score the pairs at random: folds that can't be scored are found before any training."""
    try:
        verify_scores(np.linspace(-1, 1, len(pairs)), pairs.same, pairs.fold, rule=reward.rule)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error


def _decode(
    faces: LabelledImages, indices: npt.NDArray[np.int64], model: ModelConfig
) -> npt.NDArray[np.uint8]:
    """Pixels (K, H, W, 3) of the images at `indices`."""
    return decode_all(faces, indices, size_px=model.input_size_px, colour=model.colour)
