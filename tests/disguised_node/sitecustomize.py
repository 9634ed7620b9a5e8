"""Makes the Python processes of one Ray node look like another machine's; on its PYTHONPATH.

DISGUISE_HIDES: paths (separated by colons) that don't exist there, with all below them.
DISGUISE_LACKS: a package that isn't installed there.
DISGUISE_CLOCK_S: seconds by which the clock is wrong.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import time
from typing import Any

_HIDDEN = tuple(filter(None, os.environ.get("DISGUISE_HIDES", "").split(os.pathsep)))
_LACKS = os.environ.get("DISGUISE_LACKS", "")
_CLOCK_S = float(os.environ.get("DISGUISE_CLOCK_S", "0"))


def _without(function: Any) -> Any:
    def call(path: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(path, str | bytes | os.PathLike) and _is_hidden(os.fsdecode(path)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fsdecode(path))
        return function(path, *args, **kwargs)

    return call


def _is_hidden(path: str) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in _HIDDEN)


class _Finder:
    """A finder of modules that does not know one package."""

    def __init__(self, finder: Any) -> None:
        self._finder = finder

    def find_spec(self, name: str, *args: Any) -> Any:
        return None if name.split(".")[0] == _LACKS else self._finder.find_spec(name, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


if _HIDDEN:
    os.stat, os.listdir, io.open = _without(os.stat), _without(os.listdir), _without(io.open)
if _LACKS:
    sys.meta_path[:] = [_Finder(finder) for finder in sys.meta_path]
if _CLOCK_S:
    _time = time.time
    time.time = lambda: _time() + _CLOCK_S
