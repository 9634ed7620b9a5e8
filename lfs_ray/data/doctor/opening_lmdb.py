"""LMDBs for examination: packed sets, and LMDBs with a list beside them, or with none.

Data flow: LMDB + list -> here -> `Specimen`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data import datum
from lfs_ray.data.decode import Pixels
from lfs_ray.data.doctor.finding import SHOWN_EXAMPLES, Finding, found
from lfs_ray.data.doctor.lenient_list import LenientList, read_leniently
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.environment import shared_environment
from lfs_ray.data.listing import Keys
from lfs_ray.data.packed_files import LABELS_NAME, LIST_NAME, read_manifest
from lfs_ray.data.store import LmdbStore
from lfs_ray.errors import DataError

_MAGIC_PLACE, _MAGIC = 16, b"\xde\xc0\xef\xbe"


def is_lmdb(file: Path) -> bool:
    """Whether a file begins as LMDBs do (on machines of either word size, little endian)."""
    try:
        with file.open("rb") as opened:
            return opened.read(_MAGIC_PLACE + 4)[_MAGIC_PLACE:] == _MAGIC
    except OSError as error:
        raise DataError(f"{file} must be a readable file ({error.strerror})") from None


def open_lmdb(place: Path, shown: str, list_file: str) -> Specimen:
    """Images that the list names; without a list, all, with the labels of their messages.

    Raises:
        DataError: The LMDB is broken, or the list that was given cannot be read.
    """
    store = LmdbStore(place)
    inside = (place if place.is_dir() else place.parent) / LIST_NAME
    list_path = Path(list_file) if list_file else inside
    if not list_file and not list_path.is_file():
        return _without_list(store, shown)
    listed = read_leniently(list_path)
    absent = _absent(store, listed.keys)
    packed = read_manifest(str(place)) if place.is_dir() and not list_file else None
    return Specimen(
        path=shown,
        form="LMDB with a list" if packed is None else "packed set",
        keys=listed.keys,
        written_labels=listed.labels,
        fetch=lambda index: _fetch(store, listed.keys[index]),
        class_names=_class_names(inside.with_name(LABELS_NAME)) if not list_file else (),
        absent=absent,
        list_file=str(list_path),
        findings=(
            *listed.findings,
            *_unlisted(store, listed, int(absent.sum())),
            *_differs(packed, len(listed.keys)),
        ),
    )


def _without_list(store: LmdbStore, shown: str) -> Specimen:
    keys: list[bytes] = []
    labels: list[float] = []
    with shared_environment(store.path).begin() as txn:
        for key, value in txn.cursor():
            keys.append(key.decode(errors="backslashreplace").encode())
            labels.append(_label_of(value))
    packed_keys = Keys.of(keys)
    return Specimen(
        path=shown,
        form="LMDB without a list",
        keys=packed_keys,
        written_labels=np.array(labels, np.float64),
        fetch=lambda index: _fetch(store, packed_keys[index]),
    )


def _label_of(value: bytes) -> float:
    try:
        return float(datum.decode(value).label)
    except DataError:
        return float("nan")


def _fetch(store: LmdbStore, key: str) -> bytes | Pixels:
    try:
        return store.read(key)
    except DataError:
        return store.image(key)  # raw planes; else it says what is wrong


def _absent(store: LmdbStore, keys: Keys) -> NDArray[np.bool_]:
    missing = set(store.missing(iter(keys)))
    if not missing:
        return np.zeros(0, np.bool_)
    return np.fromiter((key in missing for key in keys), np.bool_, len(keys))


def _unlisted(store: LmdbStore, listed: LenientList, num_absent: int) -> list[Finding]:
    """Entries that the list doesn't name: counted, and looked for when there are any."""
    hashes = np.fromiter(map(hash, listed.keys), np.int64, len(listed.keys))
    known = np.unique(hashes)
    num_unlisted = len(store) - (len(known) - num_absent)
    examples: list[str] = []
    if num_unlisted > 0:
        for key in store.keys():  # noqa: SIM118
            place = int(np.searchsorted(known, hash(key)))
            if place == len(known) or known[place] != hash(key):
                examples.append(key)
                if len(examples) == SHOWN_EXAMPLES:
                    break
    return found("unlisted-images", max(num_unlisted, 0), examples)


def _class_names(file: Path) -> tuple[str, ...]:
    """Names of `name<TAB>label` lines in order of their labels; none if the file isn't so."""
    try:
        rows = [line.rsplit("\t", 1) for line in file.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError):
        return ()
    if [row[1:] for row in rows] != [[str(label)] for label in range(len(rows))]:
        return ()
    return tuple(row[0] for row in rows)


def _differs(manifest: dict[str, object] | None, num_images: int) -> list[Finding]:
    said = None if manifest is None else manifest.get("images")
    wrong = manifest is not None and said != num_images
    text = f"the manifest says {said} images, the list names {num_images}"
    return found("manifest-differs", int(wrong), [text])
