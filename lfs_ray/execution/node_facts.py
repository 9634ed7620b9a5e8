"""What a node says of itself: versions, and which of the run's data lie there.

Asked by `node_survey` of machines that may have another lfs-ray or none: these functions are sent
to them as code, so they use the standard library alone and return plain values.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable
from importlib import metadata, util

Facts = dict[str, dict[str, str]]
MISSING = "missing"
_PACKAGES = ("torch", "numpy", "ray")
_CODE = "lfs_ray"
_SIZED = ("data.mdb", "data.lmdb", "list.txt")
_HASHED = ("manifest.json",)


def node_facts(paths: Iterable[str]) -> Facts:
    """Versions of what computes, and what lies at the given paths, on this machine.

    Returns:
        "versions": name to version ("not installed" where there is none); "data": path to what
        tells a copy from another file, "missing" where there is nothing.
    """
    versions = {_CODE: _code(), "python": ".".join(platform.python_version_tuple()[:2])}
    return {
        "versions": versions | {name: _version(name) for name in _PACKAGES},
        "data": {path: _contents(path) for path in paths},
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _code() -> str:
    """Version of lfs-ray with a digest of its code: a copied tree may be stale."""
    spec = util.find_spec(_CODE)
    if spec is None or not spec.submodule_search_locations:
        return "not installed"
    total = hashlib.sha256()
    for root in spec.submodule_search_locations:
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                if name.endswith(".py"):
                    with open(os.path.join(folder, name), "rb") as stream:
                        total.update(name.encode() + stream.read())
    return f"{_version(_CODE)} (code {total.hexdigest()[:8]})"


def _contents(path: str) -> str:
    """Size of a file; of a directory the sizes of the files in it that make a packed set."""
    if os.path.isfile(path):
        return f"{os.path.getsize(path)} bytes"
    if not os.path.isdir(path):
        return MISSING
    found = []
    for name in (*_SIZED, *_HASHED):
        place = os.path.join(path, name)
        if os.path.isfile(place):
            found.append(f"{name} of {os.path.getsize(place)} bytes")
            if name in _HASHED:
                with open(place, "rb") as stream:
                    found[-1] += f" (digest {hashlib.sha256(stream.read()).hexdigest()[:8]})"
    return ", ".join(found) or "a directory"
