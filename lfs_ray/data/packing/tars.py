"""WebDataset: tar shards of samples, read by random access.

Data flow: shards -> `tar_samples` -> here -> the packing pipeline. The order is that of the
shards, and within a shard that of the tar. A key is the sample's name; where a name comes in two
shards, all keys get the shard's name before their base name.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lfs_ray.data.listing import Keys
from lfs_ray.data.packing.file_names import find_files, short_names
from lfs_ray.data.packing.fingerprint import fingerprint_of
from lfs_ray.data.packing.labels import Classes, renumber
from lfs_ray.data.packing.repeats import first_repeat
from lfs_ray.data.packing.source import Record
from lfs_ray.data.packing.tar_samples import Shard, read_shard
from lfs_ray.errors import DataError

TAR_SUFFIXES = (
    ".tar",
    *(f".tar.{end}" for end in ("gz", "bz2", "xz", "zst")),
    ".tgz",
    ".tbz2",
    ".txz",
)
"""Compressed ones, too: they are refused by name, not passed over."""


class TarSource:
    """Samples of one or several shards that share their labels.

    Raises:
        DataError: A shard or a sample is broken; names shard, sample and byte.
    """

    def __init__(self, place: Path) -> None:
        self._files = find_files(place, TAR_SUFFIXES)
        shards = [read_shard(file) for file in self._files]
        if not any(len(shard.names) for shard in shards):
            raise DataError(f"{place} must hold samples of an image and a label, it holds none")
        self._names = Keys.join(shard.names for shard in shards)
        self._starts = np.concatenate([shard.starts for shard in shards])
        self._sizes = np.concatenate([shard.sizes for shard in shards])
        self._ends = np.cumsum([len(shard.names) for shard in shards])
        repeated = first_repeat(self._names) is not None
        self._prefixes = [f"{name}-" if repeated else "" for name in short_names(self._files)]
        classes = renumber(np.concatenate([shard.labels for shard in shards]))
        self.labels = classes.labels
        self.class_names: Sequence[str] = _class_names(classes, shards)
        self.facts: Mapping[str, object] = {
            "kind": "webdataset",
            "files": [file.name for file in self._files],
            "files_left_out": sum(shard.files_left_out for shard in shards),
            "names_repeat_across_files": repeated,
            "labels_renumbered": classes.renumbered,
        }
        self.fingerprint = fingerprint_of(self._files)

    def __len__(self) -> int:
        return len(self._starts)

    def read(self, start: int, stop: int) -> list[Record]:
        """Images of the samples, as they are stored.

        Raises:
            DataError: A shard got shorter or cannot be read; names shard, sample and byte.
        """
        records: list[Record] = []
        while start < stop:
            number = int(np.searchsorted(self._ends, start, side="right"))
            end = min(stop, int(self._ends[number]))
            file = self._files[number]
            try:
                with file.open("rb", buffering=0) as opened:
                    descriptor, prefix = opened.fileno(), self._prefixes[number]
                    records += [self._record(descriptor, prefix, row) for row in range(start, end)]
            except (OSError, EOFError) as error:
                raise DataError(
                    f"{file} cannot be read, it is damaged or changed ({error})"
                ) from None
            start = end
        return records

    def _record(self, descriptor: int, prefix: str, row: int) -> Record:
        name = self._names.encoded(row).decode("utf-8", "surrogateescape")
        begin, size = int(self._starts[row]), int(self._sizes[row])
        image = os.pread(descriptor, size, begin)
        if len(image) != size:
            raise EOFError(f'sample "{name}" at byte {begin} ends after {len(image)} of {size}')
        folder, slash, base = name.rpartition("/")
        return Record(f"{folder}{slash}{prefix}{base}", image, int(self.labels[row]))


def _class_names(classes: Classes, shards: Sequence[Shard]) -> list[str]:
    """Identities where every class has one of its own and no label was renumbered; else labels."""
    identities: defaultdict[int, set[str]] = defaultdict(set)
    for shard in shards:
        for label, names in shard.identities.items():
            identities[label] |= names
    named = [next(iter(identities[label])) for label in sorted(identities)]
    one_each = all(len(names) == 1 for names in identities.values())
    usable = all(name.isprintable() and name.strip() == name != "" for name in named)
    different = len(set(named)) == len(named)
    return named if usable and one_each and different and not classes.renumbered else classes.names
