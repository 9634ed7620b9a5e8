"""An entry of the journal: one complete trial of the open round as JSON, with a digest.

An entry saves training a trial again, nothing else: one that was damaged is left out and named.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from lfs_ray.search.messages import Checkpoint, Completed, Outcome

_NAME = re.compile(r"round-(\d{6,})-member-(\d{4,})\.json", re.ASCII)
_NUMBERS = ("reward", "reward_se", "train_loss")


def entry_name(number: int, member: int) -> str:
    """File name of a trial's entry.

    >>> entry_name(3, 1)
    'round-000003-member-0001.json'
    """
    return f"round-{number:06d}-member-{member:04d}.json"


def encode_entry(completed: Completed) -> bytes:
    """A complete trial as the bytes of its entry."""
    content = asdict(completed)
    return json.dumps({**content, "digest": _digest(content)}).encode()


def decode_entry(blob: bytes, name: str, checkpoints: str) -> Completed:
    """The complete trial of an entry.

    Args:
        blob: content of the file.
        name: name of the file, which says round and member.
        checkpoints: folder in which its checkpoint must lie.

    Raises:
        ValueError: what is wrong with it, a few words.
    """
    content = _content(blob)
    if content.pop("digest", None) != _digest(content):
        raise ValueError("its digest is another one")
    completed = _completed(content)
    if name != entry_name(completed.round, completed.member):
        raise ValueError(f"it is of round {completed.round}, member {completed.member}")
    stored = completed.checkpoint
    if stored is not None and stored.name.rpartition("/")[0] != checkpoints:
        raise ValueError(f"its checkpoint is {stored.name!r}")
    return completed


def round_of(name: str) -> int | None:
    """Round that a file name says; None when it is no entry's."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def _content(blob: bytes) -> dict[str, Any]:
    try:
        content = json.loads(blob)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise ValueError(f"{len(blob)} bytes that are no JSON") from error
    if not isinstance(content, dict):
        raise ValueError(f"JSON that is no table but {type(content).__name__}")
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _completed(content: Mapping[str, Any]) -> Completed:
    """The values with the types that they must have: a digest can be made by hand too."""
    try:
        outcome, checkpoint = dict(content["outcome"]), content["checkpoint"]
        numbers = {name: float(outcome[name]) for name in _NUMBERS}
        costs = {str(name): _cost(value) for name, value in outcome["costs"].items()}
        return Completed(
            round=int(content["round"]),
            member=int(content["member"]),
            attempts=int(content["attempts"]),
            outcome=Outcome(**numbers, error=str(outcome["error"]), costs=costs),
            checkpoint=None if checkpoint is None else _checkpoint(checkpoint),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(f"other keys or values ({type(error).__name__}: {error})") from error


def _cost(value: object) -> str | int | float | None:
    if value is None or isinstance(value, str | int | float):
        return value
    raise TypeError(f"a cost is {value!r}")


def _checkpoint(content: Mapping[str, Any]) -> Checkpoint:
    given = {item.name: content[item.name] for item in fields(Checkpoint)}
    return Checkpoint(
        name=str(given["name"]), size_bytes=int(given["size_bytes"]), digest=str(given["digest"])
    )
