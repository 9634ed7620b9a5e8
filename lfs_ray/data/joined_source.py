"""Several sources of images as one: labels one after the other, keys under the source's name.

Data flow: `ImageSource` each -> here -> one `ImageSource` for `pack`, and the table of the joined
sources for the manifest. A single source stays as it is.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate

from lfs_ray.data.packing.source import ImageSource, Record
from lfs_ray.errors import DataError


class JoinedSource:
    """One source after the other.

    Args:
        sources: Sources by name, two or more. Keys and class names get `name/` before them, keys
            without a folder `name:`: a key's last folder is the person, which no source is.

    Raises:
        DataError: A source holds no images.
    """

    def __init__(self, sources: Mapping[str, ImageSource]) -> None:
        for name, source in sources.items():
            refuse_empty(name, source)
        self._names = list(sources)
        self._sources = list(sources.values())
        self._ends = list(accumulate(map(len, self._sources)))
        sizes = [len(source.class_names) for source in self._sources]
        self._offsets = [end - size for end, size in zip(accumulate(sizes), sizes, strict=True)]
        self.class_names: Sequence[str] = [
            f"{name}/{class_name}"
            for name, source in sources.items()
            for class_name in source.class_names
        ]
        prints = "\n".join(source.fingerprint for source in self._sources)
        self.fingerprint = hashlib.sha256(prints.encode()).hexdigest()
        self.facts: Mapping[str, object] = {"kind": "joined", "sources": self._table()}

    def __len__(self) -> int:
        return self._ends[-1]

    def read(self, start: int, stop: int) -> list[Record]:
        """Records start to stop-1, which may lie in several sources."""
        records: list[Record] = []
        while start < stop:
            place = bisect_right(self._ends, start)
            end = min(stop, self._ends[place])
            before = self._ends[place] - len(self._sources[place])
            offset, name = self._offsets[place], self._names[place]
            records += [
                Record(_joined_key(name, record.key), record.image, offset + record.label)
                for record in self._sources[place].read(start - before, end - before)
            ]
            start = end
        return records

    def _table(self) -> list[dict[str, object]]:
        """One row a source, in their order: name, labels, counts, facts."""
        return [
            {
                "name": name,
                "offset": offset,
                "classes": len(source.class_names),
                "images": len(source),
                **source.facts,
            }
            for name, offset, source in zip(self._names, self._offsets, self._sources, strict=True)
        ]


def _joined_key(name: str, key: str) -> str:
    return f"{name}/{key}" if "/" in key else f"{name}:{key}"


def refuse_empty(name: str, source: ImageSource) -> None:
    """Raise DataError for a source without images: it would become a class of nobody."""
    if not len(source):
        raise DataError(f"a source to pack must hold images, {name} holds none")


def names_of(paths: Sequence[str]) -> list[str]:
    """A name for each source: the last part of its path, with a number where it came before."""
    names: list[str] = []
    for path in paths:
        last = path.rstrip("/").rpartition("/")[2] or "source"
        name, number = last, 1
        while name in names:
            number += 1
            name = f"{last}-{number}"
        names.append(name)
    return names
