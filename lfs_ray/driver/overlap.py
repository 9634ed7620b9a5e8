"""`lfs-ray data overlap`: compare a training set with test sets in every way that is asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lfs_ray.data.doctor.measuring import Measured, measure
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.overlap import Match, match_images, match_names, read_names

_SHOWN_MATCHES = 30

Progress = Callable[[int, int], None]
ByModel = Callable[[Specimen, Measured, Sequence[tuple[Specimen, Measured]]], list[Match]]
"""Matches of a set with others by a model; the decode pass says which images can be embedded."""


def find_matches(
    train: Specimen,
    tests: Sequence[Specimen],
    by: Sequence[str],
    *,
    name_files: Sequence[str] = (),
    by_model: ByModel | None = None,
    threads: int = 1,
    progress: Progress | None = None,
) -> list[Match]:
    """All matches, way by way.

    Args:
        train: the training set.
        tests: sets that must share no identity with it.
        by: names in `WAYS`.
        name_files: files of names, one a line.
        by_model: compares by a model, for the way "model".
        threads: decoding threads.
        progress: told while images are decoded.
    """
    matches: list[Match] = []
    if "names" in by:
        for test in tests:
            matches += match_names(train, test.path, test.identities().values())
        for file in name_files:
            matches += match_names(train, file, read_names(file))
    if not set(by) - {"names"} or not tests:
        return matches
    own = measure(train, threads=threads, progress=progress)
    others = [(test, measure(test, threads=threads, progress=progress)) for test in tests]
    for way in by:
        if way in ("pixels", "hash"):
            for test, measured in others:
                matches += match_images(train, own, test, measured, way)
        elif way == "model" and by_model:
            matches += by_model(train, own, others)
    return matches


def reasons(matches: Sequence[Match]) -> dict[int, list[str]]:
    """Why each label is to be removed."""
    table: dict[int, list[str]] = {}
    for match in matches:
        text = f"{match.by}: {match.other_name} of {match.other_set}, {match.score:g}"
        table.setdefault(match.label, []).append(text)
    return table


def matches_csv(matches: Sequence[Match]) -> str:
    """Header and one line a match."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Match))
    writer.writerows(astuple(match) for match in matches)
    return text.getvalue()


def print_matches(matches: Sequence[Match], console: Console) -> None:
    """Print the first matches as a table."""
    if not matches:
        return
    table = Table()
    for column in ("identity", "is in", "as", "by", "score"):
        table.add_column(column, overflow="fold", justify="right" if column == "score" else "left")
    for match in matches[:_SHOWN_MATCHES]:
        cells = (match.name, match.other_set, match.other_name, match.by, f"{match.score:.3f}")
        table.add_row(*map(escape, cells))
    console.print(table)
    if len(matches) > _SHOWN_MATCHES:
        console.print(f"and {len(matches) - _SHOWN_MATCHES} more")
