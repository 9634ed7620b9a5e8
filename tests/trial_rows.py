"""Rows of the trial table for tests: complete, and different in every column that may differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from lfs_ray.trials.rounds import encode_round
from lfs_ray.trials.schema import COLUMNS

START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def make_row(
    round_number: int,
    member: int,
    *,
    population: str = "search",
    theta_names: Sequence[str] = ("margin",),
    failed: bool = False,
) -> dict[str, object]:
    """A row with a value in every column; a failed one has NaN rewards and an error."""
    place = round_number + member / 8
    row: dict[str, object] = {}
    for position, column in enumerate(COLUMNS):
        for name in column.names(theta_names):
            row[name] = place + position / 16 if str(column.type) == "double" else None
    row |= {
        "population": population,
        "method": "reinforce",
        "round": round_number,
        "member": member,
        "status": "failed" if failed else "ok",
        "selected": member == 0 and not failed,
        "seed": 2**62 + 1000 * round_number + member,
        "checkpoint": f"round-{round_number}.safetensors" if member == 0 else None,
        "worker": f"worker-{member % 2}",
        "host": "node",
        "device": "cpu",
        "attempts": 1 + member,
        "started_at": START + timedelta(seconds=60 * round_number, microseconds=member),
    }
    if round_number > 0:
        row |= {"parent_round": round_number - 1, "parent_member": 0}
    if failed:
        row |= {"reward": math.nan, "reward_se": None, "advantage": math.nan}
        row |= {"error": "loss became nan\nat step 7"}
    return row


def make_rows(round_number: int, members: int = 4, **options: object) -> list[dict[str, object]]:
    """All rows of a round; options as in `make_row`."""
    return [make_row(round_number, member, **options) for member in range(members)]  # type: ignore[arg-type]


def make_blob(round_number: int, members: int = 2, writer: str = "") -> bytes:
    """Bytes of a round whose metadata names its writer."""
    metadata = {"writer": writer, "policy_digest": f"digest-{round_number}"}
    return encode_round(make_rows(round_number, members), ["margin"], metadata)
