"""Names that stay inside a run: they come from tables, journals and schedules of anyone."""

from __future__ import annotations

import os
import re

from lfs_ray.errors import RunError

_DRIVE = re.compile(r"^[a-z]:", re.IGNORECASE)
_ADVICE = "the run's files were changed, restore them from a copy"


def check_name(name: str, folder: str) -> str:
    """The name of a file or folder, relative to the run, if it can't lead out of it.

    Args:
        name: with forward slashes; empty: the run's folder.
        folder: the run's, for the message.

    Raises:
        RunError: it is absolute, climbs, or means one thing here and another elsewhere.
    """
    parts = name.split("/")
    strange = _DRIVE.match(name) or any(letter in name for letter in "\\\0\n\r")
    if name and (strange or any(part in ("", ".", "..") for part in parts)):
        raise RunError(
            f"names of a run's files must be relative and stay in the run, found {name!r} in "
            f"{folder}: {_ADVICE}"
        )
    return name


def check_links(root: str, name: str) -> None:
    """Refuse a local name that a symbolic link below the run's folder leads out of it.

    Raises:
        RunError: it does.
    """
    place = root
    for part in name.split("/") if name else ():
        place = os.path.join(place, part)
        if os.path.islink(place):
            inside, target = os.path.realpath(root), os.path.realpath(place)
            if os.path.commonpath([inside, target]) != inside:
                raise RunError(
                    f"files of a run must lie in it, found {place}, a link to {target}: put the "
                    f"file itself there"
                )
