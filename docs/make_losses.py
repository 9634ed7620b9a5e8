"""Write docs/losses.md and its pictures from the catalogue of losses.

    python docs/make_losses.py          writes docs/losses.md and docs/losses/NAME.svg
    python docs/make_losses.py --check  exits with 1 and one line if any of them is out of date

The page is compared word for word. Pictures are compared by the digest of their numbers that
stands in their metadata: another version of matplotlib may draw the same numbers in other bytes.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from loss_curves import Curve, curves_of, digest
from loss_page import page
from loss_pictures import svg
from loss_settings import picture_of

from lfs_ray.losses.catalogue import LOSSES

FOLDER = Path(__file__).resolve().parent
COMMAND = "python docs/make_losses.py"


def outdated(folder: Path) -> list[str]:
    """What in a folder isn't what the catalogue gives: file and reason, one line each."""
    found = []
    losses_md = folder / "losses.md"
    if not losses_md.is_file():
        found.append("losses.md is missing")
    elif losses_md.read_text("utf-8") != page():
        found.append("losses.md differs")
    kept = {path.stem for path in (folder / "losses").glob("*.svg")}
    found += [f"losses/{name}.svg belongs to no loss" for name in sorted(kept - set(LOSSES))]
    for name in LOSSES:
        if name not in kept:
            found.append(f"losses/{name}.svg is missing")
        elif mark_of(_curves(name)) not in picture_path(folder, name).read_text("utf-8"):
            found.append(f"losses/{name}.svg shows other numbers")
    return found


def write(folder: Path) -> None:
    """Write the page, and those pictures whose numbers have changed."""
    stale = {line.split(" ")[0] for line in outdated(folder)}
    for path in (folder / "losses").glob("*.svg"):
        if path.stem not in LOSSES:
            path.unlink()
    for name in LOSSES:
        path = picture_path(folder, name)
        if f"losses/{path.name}" in stale:
            curves = _curves(name)
            _replace(path, svg(curves, picture_of(name), mark_of(curves)))
    _replace(folder / "losses.md", page().encode())


def picture_path(folder: Path, name: str) -> Path:
    """Where the loss's picture is."""
    return folder / "losses" / f"{name}.svg"


def mark_of(curves: list[Curve]) -> str:
    """What a picture's metadata says of its numbers."""
    return f"numbers {digest(curves)}"


def _curves(name: str) -> list[Curve]:
    return curves_of(name, picture_of(name))


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_bytes(content)
    os.replace(unfinished, path)


def main() -> None:
    """Write, or check."""
    parser = argparse.ArgumentParser(description="Write docs/losses.md and its pictures.")
    parser.add_argument("--check", action="store_true", help="only say whether they are current")
    parser.add_argument("--redraw", action="store_true", help="draw every picture again")
    given = parser.parse_args()
    if given.check:
        found = outdated(FOLDER)
        if found:
            raise SystemExit(f"docs are out of date ({'; '.join(found)}): run {COMMAND}")
        return
    if given.redraw:
        for path in (FOLDER / "losses").glob("*.svg"):
            path.unlink()
    write(FOLDER)


if __name__ == "__main__":
    main()
