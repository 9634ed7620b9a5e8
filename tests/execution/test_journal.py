"""Entries of the journal come back as they were, or are refused with a reason."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest

from lfs_ray.execution.journal import decode_entry, encode_entry, entry_name, round_of
from lfs_ray.search.messages import Checkpoint, Completed, Outcome

FOLDER = "populations/p/checkpoints"
NAME = entry_name(3, 1)
OUTCOME = Outcome(
    reward=0.1 + 0.2,
    reward_se=math.inf,
    train_loss=1.5,
    costs={"host": "h", "train_s": 2.0, "device": None, "n": 3},
)
CHECKPOINT = Checkpoint(name=f"{FOLDER}/x.safetensors", size_bytes=7, digest="d")
COMPLETED = Completed(round=3, member=1, attempts=2, outcome=OUTCOME, checkpoint=CHECKPOINT)


def changed(**values: Any) -> bytes:
    """An entry changed by somebody who made its digest anew; a value of ... is left out."""
    content = json.loads(encode_entry(COMPLETED))
    del content["digest"]
    content = {key: value for key, value in {**content, **values}.items() if value is not ...}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return json.dumps({**content, "digest": digest}).encode()


@pytest.mark.parametrize("checkpoint", [CHECKPOINT, None])
def test_an_entry_comes_back(checkpoint: Checkpoint | None) -> None:
    completed = Completed(round=3, member=1, attempts=2, outcome=OUTCOME, checkpoint=checkpoint)
    assert decode_entry(encode_entry(completed), NAME, FOLDER) == completed


def test_names_say_the_round() -> None:
    assert round_of(NAME) == 3
    assert round_of("round-000003-member-0001.json.bak") is None


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (b"", "0 bytes that are no JSON"),
        (b"\xff\xfe", "2 bytes that are no JSON"),
        (b"[" * 100_000, "100000 bytes that are no JSON"),
        (b"[1]", "no table but list"),
        (b"{}", "its digest is another one"),
        (encode_entry(COMPLETED).replace(b'"attempts": 2', b'"attempts": 3'), "its digest"),
        (changed(outcome=...), "KeyError: 'outcome'"),
        (changed(outcome=3), "TypeError"),
        (changed(outcome={"reward": "good"}), "could not convert string to float"),
        (changed(member="one"), "invalid literal for int"),
        (changed(attempts=None), "TypeError"),
        (changed(checkpoint={"name": "x"}), "KeyError: 'size_bytes'"),
        (changed(checkpoint="x"), "TypeError"),
        (changed(round=4), "it is of round 4, member 1"),
        (changed(member=2), "it is of round 3, member 2"),
        (
            changed(checkpoint={"name": f"{FOLDER}/../../q/x", "size_bytes": 7, "digest": "d"}),
            "its checkpoint is 'populations/p/checkpoints/../../q/x'",
        ),
        (
            changed(checkpoint={"name": "/etc/passwd", "size_bytes": 7, "digest": "d"}),
            "its checkpoint is '/etc/passwd'",
        ),
    ],
)
def test_what_was_changed_is_refused_with_the_reason(blob: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        decode_entry(blob, NAME, FOLDER)
    assert reason in str(caught.value)
