from __future__ import annotations

import io
import math
import threading

import pytest
from rich.console import Console

from lfs_ray.driver import live
from lfs_ray.driver.live import LiveDisplay
from lfs_ray.errors import RunError
from lfs_ray.execution.coordinator import Standing


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PERIOD_S", 0.01)


def standing(number: int, complete: int = 0) -> Standing:
    return Standing(
        population="main",
        method="reinforce",
        round=number,
        rounds=4,
        complete=complete,
        members=2,
        reward=0.75 if number else math.nan,
        margin=0.25,
        std=0.1,
    )


def shown(*standings: Standing, is_live: bool = False) -> str:
    """What a display shows whose looks see one standing after the other."""
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=is_live)
    waiting, all_seen = list(standings), threading.Event()

    def ask() -> tuple[list[Standing], str]:
        one = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if len(waiting) == 1:
            all_seen.set()
        return [one], ""

    with LiveDisplay(console, ask, {"main": 10}, live=is_live):
        assert all_seen.wait(10)
    return text.getvalue()


def test_a_line_a_round_where_there_is_no_terminal() -> None:
    text = shown(standing(0), standing(0, 1), standing(1), standing(2, 1))
    lines = text.splitlines()
    assert [line.split(",")[0] for line in lines] == ["main: round 1/4", "main: round 2/4"]
    assert "best reward 0.7500, policy margin 0.2500, " in lines[0]
    assert lines[0].endswith(" left")


def test_a_table_on_a_terminal() -> None:
    text = shown(standing(0), standing(1), is_live=True)
    assert "policy margin" in text
    assert "1/4" in text
    assert "0/2" in text


def test_a_keeper_that_does_not_answer_is_waited_for() -> None:
    text = io.StringIO()

    def ask() -> tuple[list[Standing], str]:
        raise RunError("restarting")

    with LiveDisplay(Console(file=text), ask, {"main": 10}, live=False):
        pass
    assert text.getvalue() == ""


def test_durations_and_numbers_that_are_not_known() -> None:
    assert live._duration(math.nan) == "?"
    assert live._duration(125.4) == "2:05"
    assert live._number(math.nan) == "-"
