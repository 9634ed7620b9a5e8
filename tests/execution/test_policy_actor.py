"""The policy actor without Ray: long polls end when there is work; nothing heavy is imported."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from executor_cases import EPOCH_IMAGES, FAULTLESS, LEARNS_ONLY, config_of, new_storage
from scripted_runner import ScriptedRunner

from lfs_ray.config.dump import dump_toml
from lfs_ray.execution import policy_actor
from lfs_ray.execution.coordinator import Reply
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.policy_actor import PolicyActor
from lfs_ray.search.messages import Lease, WorkerId

WORKERS = [WorkerId(index=index, incarnation="x") for index in range(5)]


@pytest.fixture
def runner(tmp_path: Path) -> ScriptedRunner:
    storage = new_storage(tmp_path, config_of(LEARNS_ONLY))
    return ScriptedRunner(script=FAULTLESS, storage=storage, marks=tmp_path / "marks")


class Calm:
    """A cluster in which nothing died."""

    def lost_nodes(self) -> list[str]:
        return []

    def restarted(self) -> bool:
        return False

    def put(self, value: object) -> object:
        return value


def actor_of(runner: ScriptedRunner) -> PolicyActor:
    config, storage = config_of(LEARNS_ONLY), runner.storage
    generation = start_generation(storage, config.populations)
    return PolicyActor(dump_toml(config), EPOCH_IMAGES, storage, generation, Calm())


async def carry_out(
    actor: PolicyActor, worker: WorkerId, lease: Lease | None, runner: ScriptedRunner
) -> Reply:
    """Carry a trial to its end; the answer."""
    assert lease is not None
    outcome = runner.train(lease)
    reply = await actor.report(worker, lease, outcome)
    if reply.kind == "store":
        reply = await actor.stored(worker, lease, outcome, runner.store(lease))
    return reply


def test_worker_that_waits_hears_of_work_at_once(
    runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_actor, "LONG_POLL_S", 60.0)
    monkeypatch.setattr(policy_actor, "EXPIRY_CHECK_S", 60.0)

    async def play() -> Reply:
        actor = actor_of(runner)
        leases = [(await actor.lease(worker)).lease for worker in WORKERS[:4]]
        waiting = asyncio.create_task(actor.lease(WORKERS[4]))
        for worker, lease in zip(WORKERS, leases[:3], strict=False):
            # These wait too: the round is not over.
            asyncio.create_task(carry_out(actor, worker, lease, runner))  # noqa: RUF006
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await carry_out(actor, WORKERS[3], leases[3], runner)
        return await asyncio.wait_for(waiting, 5.0)

    reply = asyncio.run(play())
    assert reply.lease is not None
    assert reply.lease.round == 1


def test_worker_without_work_is_asked_to_ask_again(
    runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_actor, "LONG_POLL_S", 0.05)
    monkeypatch.setattr(policy_actor, "EXPIRY_CHECK_S", 0.01)

    async def play() -> list[Reply]:
        actor = actor_of(runner)
        return [await actor.lease(worker) for worker in WORKERS]

    *leased, last = asyncio.run(play())
    assert [reply.kind for reply in leased] == ["train"] * 4
    assert last == Reply(kind="wait")


def test_lease_that_is_given_back_goes_to_who_waits(
    runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_actor, "EXPIRY_CHECK_S", 60.0)

    async def play() -> tuple[Lease | None, Lease | None]:
        actor = actor_of(runner)
        leases = [(await actor.lease(worker)).lease for worker in WORKERS[:4]]
        waiting = asyncio.create_task(actor.lease(WORKERS[4]))
        await asyncio.sleep(0)
        await actor.release(WORKERS[2])
        return leases[2], (await asyncio.wait_for(waiting, 2.0)).lease

    given, taken = asyncio.run(play())
    assert given is not None
    assert taken is not None
    assert given.member == taken.member


def test_it_takes_neither_torch_nor_ray() -> None:
    code = (
        "import sys, lfs_ray.execution.policy_actor\n"
        "print([name for name in ('torch', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
