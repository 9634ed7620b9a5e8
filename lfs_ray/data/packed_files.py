"""Files of a packed data set, and its manifest.

Data flow: counts and checksums of `shards` -> here -> manifest.json -> `sources`, and whoever asks
what a set was made from.

    data.lmdb       LMDB file, key (UTF-8) -> Datum message with the encoded image
    list.txt        `key label`, one image a line, in the order of the source
    index.npy       where each key lies in the list, and its label (`key_index`)
    labels.tsv      class name and label, one class a line, label 0 first
    manifest.json   what it was made from, counts, image size, checksums

Lists, index and manifest have the same bytes for the same images: no date, no host, no absolute
path. Sets of format 1 have no index and no shards; they are read, too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lfs_ray import __version__
from lfs_ray.data.shards import Shard
from lfs_ray.errors import DataError

LMDB_NAME = "data.lmdb"
LIST_NAME = "list.txt"
INDEX_NAME = "index.npy"
LABELS_NAME = "labels.tsv"
MANIFEST_NAME = "manifest.json"
DECODED_SAMPLE = 64
FORMAT = "lfs-ray packed images 2"
FORMATS = ("lfs-ray packed images 1", FORMAT)


def manifest_of(
    shards: Sequence[Shard],
    images_of_class: NDArray[np.int64],
    *,
    source: Mapping[str, object],
    changed: Mapping[str, object] | None,
    list_sha256: str,
) -> dict[str, object]:
    """What a packed set is.

    Args:
        shards: Its records, block by block.
        images_of_class: Images of each class, (C,), C 1 or more.
        source: What it was made from.
        changed: How the images differ from the source; None where they are the same bytes.
        list_sha256: Digest of the list.
    """
    sizes = {size for shard in shards for size in shard.sizes_hw}
    total = hashlib.sha256("".join(shard.sha256 for shard in shards).encode())
    return {
        "format": FORMAT,
        "tool_version": __version__,
        "source": dict(source),
        "changed": None if changed is None else dict(changed),
        "images": sum(shard.images for shard in shards),
        "classes": len(images_of_class),
        "images_per_class": {"min": int(images_of_class.min()), "max": int(images_of_class.max())},
        "height_width_px": list(sizes.pop()) if len(sizes) == 1 else None,
        "decoded_colour_order": "rgb",
        "checksum": f"sha256:{total.hexdigest()}",
        "list_sha256": list_sha256,
        "shards": [
            {"first": shard.first, "images": shard.images, "sha256": shard.sha256}
            for shard in shards
        ],
    }


def write_manifest(folder: Path, manifest: Mapping[str, object]) -> None:
    """Write the manifest of a set that is being made."""
    text = json.dumps(manifest, indent=2, ensure_ascii=True) + "\n"
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8", newline="\n")


def read_manifest(source: str | os.PathLike[str]) -> dict[str, object] | None:
    """Manifest of what lies at `source`; None where there is none, as with a foreign LMDB.

    Raises:
        DataError: It cannot be read, or is of a format that this version does not know.
    """
    path = Path(source, MANIFEST_NAME)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} must be a manifest ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("format") not in FORMATS:
        found = manifest.get("format") if isinstance(manifest, dict) else type(manifest).__name__
        raise DataError(
            f'{path} must be a manifest of format "{FORMAT}" or older, got {found!a}: pack the '
            "images again, or use the version of lfs-ray that wrote it"
        )
    return manifest


def check_class_names(class_names: Sequence[str]) -> None:
    """Refuse names that labels.tsv cannot hold.

    Raises:
        DataError: There is none, or one is no single line of UTF-8 text.
    """
    if not class_names:
        raise DataError("a packed data set must have at least one class, got none")
    for name in class_names:
        if "\n" in name or "\r" in name or not _is_utf8(name):
            raise DataError(
                f"a class name must be one line of UTF-8 text, got {name!a}: rename the class"
            )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_labels(folder: Path, class_names: Sequence[str]) -> None:
    """Write the names of the classes, label 0 first."""
    with (folder / LABELS_NAME).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{name}\t{label}\n" for label, name in enumerate(class_names))
