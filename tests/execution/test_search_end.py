"""Tune is told of the end a little after it: not before, and not by an actor that is away."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.exceptions import ActorUnavailableError

from lfs_ray.execution import search_end
from lfs_ray.execution.coordinator import Standing
from lfs_ray.execution.search_end import GRACE_S, SearchEnd

CLOCK = 1000.0


def standing(number: int) -> Standing:
    return Standing(
        population="p",
        method="fixed",
        round=number,
        rounds=3,
        complete=0,
        members=2,
        reward=0.5,
        margin=0.1,
        std=0.1,
    )


class Scene:
    """A policy actor that answers what it is told to, and a clock."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now_s, self.calls = CLOCK, 0
        self.answer: object = ([standing(2)], "")
        actor = SimpleNamespace(standings=SimpleNamespace(remote=lambda: None))
        self.end = SearchEnd(actor)
        patch.setattr(search_end.ray, "get", self.get)
        patch.setattr(search_end.time, "monotonic", lambda: self.now_s)

    def get(self, asked: object, timeout: float) -> object:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def after(self, seconds: float) -> bool:
        self.now_s += seconds
        return self.end.stop_all()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


@pytest.mark.parametrize("answer", [([standing(3)], ""), ([standing(1)], "no survivors")])
def test_search_that_is_over_ends_after_a_while(scene: Scene, answer: object) -> None:
    assert not scene.after(3600.0)
    scene.answer = answer
    assert not scene.after(2.0)
    assert not scene.after(GRACE_S - 0.5)
    assert scene.after(0.5)


def test_actor_that_is_away_ends_nothing(scene: Scene) -> None:
    scene.answer = ActorUnavailableError("restarting", b"0" * 16)
    assert not scene.after(1.0)
    assert not scene.after(GRACE_S)


def test_actor_is_asked_once_a_second(scene: Scene) -> None:
    for _ in range(100):
        scene.after(0.1)
    assert 9 <= scene.calls <= 11
