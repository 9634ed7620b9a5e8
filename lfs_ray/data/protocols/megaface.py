"""MegaFace challenge 1: its lists, its noise lists, and its feature files.

Data flow: folder of the development kit -> here -> `ProbeSet`. Layout (published):

    templatelists/facescrub_features_list.json         {"path": [...], "id": [...]}: probes, people
    templatelists/megaface_features_list.json_1000_1   the same for 1,000 distractors; set 1
    facescrub_noises.txt, megaface_noises.txt          of deepinsight/insightface; `#` is a comment
    feature file                                       4 int32 (length, 1, 4, 5), float32 values

The images lie in facescrub/ and megaface/ (or facescrub_images/, megaface_images/).
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lfs_ray.data.protocols.locations import first_existing, read_names
from lfs_ray.data.protocols.probes import ProbeSet, make_probe_set
from lfs_ray.errors import DataError

_PROBES = "facescrub_features_list.json"
_DISTRACTORS = re.compile(r"megaface_features_list\.json_(\d+)_1")
_HEADER = np.dtype("<i4")
_HEADER_BYTES = 16


def read_megaface(path: str | os.PathLike[str], num_distractors: int = 0) -> ProbeSet:
    """Read a folder in the layout of the development kit.

    Args:
        path: The folder.
        num_distractors: Of the lists, the one with so many distractors; 0: the longest.

    Raises:
        DataError: A list or folder is missing, or a list isn't what it must be.
    """
    root = Path(path)
    probe_list = first_existing(root, (f"templatelists/{_PROBES}", _PROBES), "the list of probes")
    distractor_list = _distractor_list(probe_list.parent, num_distractors)
    keys, people = _read_json(probe_list)
    distractors, _ = _read_json(distractor_list)
    return make_probe_set(
        keys,
        people,
        distractors,
        roots=(
            str(first_existing(root, ("facescrub", "facescrub_images"), "the probes")),
            str(first_existing(root, ("megaface", "megaface_images"), "the distractors")),
        ),
        place=str(probe_list),
        noises=(_noises(root / "facescrub_noises.txt"), _noises(root / "megaface_noises.txt")),
    )


def _distractor_list(folder: Path, wanted: int) -> Path:
    lists = {
        int(found[1]): file
        for file in folder.iterdir()
        if (found := _DISTRACTORS.fullmatch(file.name))
    }
    if not lists or (wanted and wanted not in lists):
        shown = ", ".join(map(str, sorted(lists))) or "none"
        raise DataError(
            f"{folder} must hold a list megaface_features_list.json_{wanted or 'N'}_1, found "
            f"lists of {shown} distractors"
        )
    return lists[wanted or max(lists)]


def _read_json(path: Path) -> tuple[list[str], list[str]]:
    """Paths and identities of a list."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must be a readable JSON file ({error})") from None
    columns = [content.get(name) if isinstance(content, dict) else None for name in ("path", "id")]
    paths, ids = columns[0], columns[1] if columns[1] is not None else columns[0]
    if not isinstance(paths, list) or not isinstance(ids, list) or len(paths) != len(ids):
        raise DataError(f'{path} must hold lists "path" and "id" of one length')
    if not all(isinstance(key, str) for key in paths):
        raise DataError(f'{path} must hold texts in "path", found another type')
    return [key.lstrip("/") for key in paths], [str(name) for name in ids]


def _noises(path: Path) -> frozenset[str]:
    """Names in a noise list; none where there is no such file."""
    names = read_names(path, "noise list") if path.is_file() else []
    return frozenset(name.split("\t")[-1].strip().lstrip("/") for name in names)


def read_feature(path: str | os.PathLike[str]) -> NDArray[np.float32]:
    """Values of a feature file, (D,).

    Raises:
        DataError: The file is missing, cut, or has another header.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"feature file {path} must be readable ({error.strerror})") from None
    header = np.frombuffer(data[:_HEADER_BYTES].ljust(_HEADER_BYTES, b"\0"), _HEADER).tolist()
    length, stated = header[0], _HEADER_BYTES + 4 * header[0]
    if header[1:] != [1, 4, 5] or length < 1 or len(data) != stated:
        raise DataError(
            f"feature file {path} must be 4 int32 (length, 1, 4, 5) and length float32 values, "
            f"found {header} in {len(data)} bytes"
        )
    return np.frombuffer(data, "<f4", offset=_HEADER_BYTES).astype(np.float32)


def read_features(
    root: str | os.PathLike[str], keys: Sequence[str], ending: str = ".bin"
) -> NDArray[np.float32]:
    """Features of some images, (N, D): the file of image "a/b.jpg" is "a/b.jpg" + `ending`.

    Raises:
        DataError: No keys, a file is missing or broken, or lengths differ.
    """
    if not keys:
        raise DataError(f"features of {root} must be asked for by key, got no keys")
    first = read_feature(Path(root, f"{keys[0]}{ending}"))
    features_ND = np.empty((len(keys), len(first)), np.float32)
    for row, key in enumerate(keys):
        feature = read_feature(Path(root, f"{key}{ending}"))
        if len(feature) != len(first):
            raise DataError(
                f"features of {root} must have one length, {key} has {len(feature)} values, "
                f"{keys[0]} {len(first)}"
            )
        features_ND[row] = feature
    return features_ND


def write_feature(path: str | os.PathLike[str], feature_D: ArrayLike) -> None:
    """Write a feature file; it appears whole or not at all.

    Args:
        path: File to write; its folder is made.
        feature_D: Finite values, (D,).

    Raises:
        DataError: The values are not finite or have another shape.
    """
    values = np.asarray(feature_D, "<f4")
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise DataError(
            f"a feature must be finite values of shape (D,), {path} would get shape {values.shape}"
        )
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    header = np.array([values.size, 1, 4, 5], _HEADER)
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".tmp-", delete=False) as file:
        try:
            file.write(header.tobytes() + values.tobytes())
            file.close()
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise
