"""A `.bin` set to a plain one, once: packed images and a pair list in one directory.

Data flow: `.bin` file -> `bin_set` -> here -> a packed set whose keys are 000000.jpg, 000001.jpg,
... and `pairs.tsv` beside them (`fold same a b`, ten blocks in order). Images keep their bytes. A
`.bin` set names no people: every image is a class of its own, and nothing can be trained on it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lfs_ray.data.bin_set import BinSet, channel_means, looks_swapped, read_bin_set
from lfs_ray.data.pairs import Pairs, pairs_of_bin
from lfs_ray.data.writer import refuse_existing, whole_directory, write_packed

PAIRS_NAME = "pairs.tsv"


@dataclass(frozen=True, slots=True)
class Converted:
    """What was converted."""

    pairs: int
    same: int
    height_width_px: tuple[int, int]
    mean_rgb: tuple[float, float, float]
    """Means of red, green and blue, 0 to 255."""

    @property
    def is_swapped(self) -> bool:
        """Whether red and blue look exchanged."""
        return looks_swapped(self.mean_rgb)


def convert_bin(src: str | os.PathLike[str], dst: str | os.PathLike[str]) -> Converted:
    """Convert the `.bin` set `src` to the new directory `dst`, which appears whole or not at all.

    Raises:
        DataError: `dst` exists or cannot be written; `src` is no such set, or fails a check.
    """
    refuse_existing(dst)
    bin_set = read_bin_set(src)
    pairs = pairs_of_bin(bin_set, src)
    means = channel_means(bin_set)
    with whole_directory(dst) as folder:
        packed = folder / "packed"
        _write_images(packed, bin_set, Path(src).name)
        for file in packed.iterdir():
            file.rename(folder / file.name)
        packed.rmdir()
        _write_pairs(folder / PAIRS_NAME, pairs)
    return Converted(len(pairs), int(pairs.same.sum()), bin_set.height_width_px, means)


def _write_images(packed: Path, bin_set: BinSet, name: str) -> None:
    keys = bin_set.keys()
    records = (
        (key, image, label)
        for label, (key, image) in enumerate(zip(keys, bin_set.images, strict=True))
    )
    source = {"kind": ".bin set", "file": name, "classes_are": "images, people are not named"}
    write_packed(packed, records, class_names=keys, source=source)


def _write_pairs(path: Path, pairs: Pairs) -> None:
    rows = [
        f"{fold}\t{int(same)}\t{pairs.keys[first]}\t{pairs.keys[second]}\n"
        for fold, same, first, second in zip(
            pairs.fold.tolist(),
            pairs.same.tolist(),
            pairs.first.tolist(),
            pairs.second.tolist(),
            strict=True,
        )
    ]
    text = "fold\tsame\ta\tb\n" + "".join(rows)
    path.write_text(text, encoding="utf-8", newline="\n")
