"""Errors a user can cause. The command line prints each as one line and exits with 1.

    LfsRayError
      ConfigError     configuration or command line; carries every mistake found, one line each
      DataError       images, LMDB, lists, pairs
      RunError        run directory, storage, resume
      SearchError     the search cannot go on (no survivors in a round)
      TrainingError   one trial failed (non-finite steps past the limit)

A message says what must hold, what was found (name, value, place) and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence


class LfsRayError(Exception):
    """Base of all expected errors."""


class ConfigError(LfsRayError):
    """The configuration cannot be used; `mistakes` holds one line per mistake."""

    def __init__(self, mistakes: str | Sequence[str]) -> None:
        self.mistakes = (mistakes,) if isinstance(mistakes, str) else tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class DataError(LfsRayError):
    """Images, LMDB, lists or pairs are missing, unreadable or inconsistent."""


class RunError(LfsRayError):
    """The run directory or its storage is not what the command needs."""


class SearchError(LfsRayError):
    """The search stopped because it cannot go on."""


class TrainingError(LfsRayError):
    """One trial cannot be completed; it becomes a failed row of the trial table."""
