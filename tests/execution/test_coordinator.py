"""The keeper of a run: what it tells workers, writes before it answers, and restores."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from executor_cases import (
    EPOCH_IMAGES,
    FAULTLESS,
    LEARNS_ONLY,
    POPULATIONS,
    by_hand,
    config_of,
    reference,
    results,
)
from scripted_runner import RAISES, ScriptedRunner

from lfs_ray.config.sections import Config
from lfs_ray.errors import RunError
from lfs_ray.execution.coordinator import Coordinator, Reply
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.run_files import RunFiles
from lfs_ray.execution.serial import run_serial
from lfs_ray.execution.worker import work
from lfs_ray.search.messages import Checkpoint, Lease, Outcome, WorkerId
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_rounds, trials_folder

ONE, TWO = WorkerId(index=0, incarnation="a"), WorkerId(index=1, incarnation="b")
TRIALS_OF_LEARNS = 4 * 5


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(tmp_path / "run", fsync=False)


@pytest.fixture
def runner(storage: Storage, tmp_path: Path) -> ScriptedRunner:
    return ScriptedRunner(script=FAULTLESS, storage=storage, marks=tmp_path / "marks")


class Clock:
    """A clock that is set by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def coordinator_of(config: Config, storage: Storage, clock: Clock | None = None) -> Coordinator:
    generation = start_generation(storage, config.populations)
    return Coordinator(config, EPOCH_IMAGES, storage, generation, now_s=clock or Clock())


def leased(reply: Reply) -> Lease:
    assert reply.kind == "train"
    assert reply.lease is not None
    return reply.lease


def report_and_store(
    desk: Coordinator, worker: WorkerId, lease: Lease, runner: ScriptedRunner
) -> Reply:
    """Carry a trial to its end; the answer."""
    outcome = runner.train(lease)
    reply = desk.report(worker, lease, outcome)
    if reply.kind == "store":
        reply = desk.stored(worker, lease, outcome, runner.store(lease))
    return reply


# ---- what a worker is told


def test_lease_that_got_lost_is_given_again(storage: Storage) -> None:
    desk = coordinator_of(config_of(LEARNS_ONLY), storage)
    lease = leased(desk.lease(ONE))
    assert leased(desk.lease(ONE)) == lease
    assert leased(desk.lease(TWO)) != lease


def test_oldest_open_round_of_any_population_comes_first(
    storage: Storage, runner: ScriptedRunner
) -> None:
    desk = coordinator_of(config_of(POPULATIONS), storage)
    order, reply = [], desk.lease(ONE)
    while reply.kind == "train":
        lease = leased(reply)
        order.append(lease.round)
        reply = report_and_store(desk, ONE, lease, runner)
    assert reply == Reply(kind="done")
    assert order == sorted(order)
    assert desk.finished


def test_worker_waits_while_others_train_the_rest(storage: Storage) -> None:
    desk = coordinator_of(config_of({"random": POPULATIONS["random"]}), storage)
    leased(desk.lease(ONE))
    assert desk.lease(TWO) == Reply(kind="wait")


def test_new_incarnation_frees_what_the_old_one_held(storage: Storage) -> None:
    desk = coordinator_of(config_of({"random": POPULATIONS["random"]}), storage)
    lease = leased(desk.lease(ONE))
    again = replace(ONE, incarnation="again")
    desk.hello(again)
    fresh = leased(desk.lease(again))
    assert replace(fresh, token=lease.token) == lease
    assert fresh.token != lease.token


def wait_s(desk: Coordinator, clock: Clock, seconds: float) -> None:
    """Let time pass in which the keeper hears somebody every second."""
    for _ in range(int(seconds)):
        clock.now_s += 1.0
        desk.standings()


def test_lease_without_a_sign_of_life_is_given_to_another(storage: Storage) -> None:
    config, clock = config_of({"random": POPULATIONS["random"]}), Clock()
    desk = coordinator_of(config, storage, clock)
    lease, timeout_s = leased(desk.lease(ONE)), config.worker.lease_timeout_s
    wait_s(desk, clock, timeout_s)
    assert desk.heartbeat(ONE, lease)
    wait_s(desk, clock, timeout_s)
    assert desk.lease(TWO).kind == "wait"
    wait_s(desk, clock, 1)
    assert leased(desk.lease(TWO)).member == lease.member
    assert not desk.heartbeat(ONE, lease)


def test_no_lease_runs_out_of_a_silence_of_the_keeper_itself(storage: Storage) -> None:
    config, clock = config_of({"random": POPULATIONS["random"]}), Clock()
    desk = coordinator_of(config, storage, clock)
    lease = leased(desk.lease(ONE))
    clock.now_s += 100 * config.worker.lease_timeout_s  # a machine that slept
    assert desk.lease(TWO).kind == "wait"
    assert desk.heartbeat(ONE, lease)


def test_no_lease_runs_out_while_storage_is_waited_for(
    storage: Storage, runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, clock = config_of(LEARNS_ONLY), Clock()
    desk = coordinator_of(config, storage, clock)
    lease, other = leased(desk.lease(ONE)), leased(desk.lease(TWO))
    write = Storage.write

    def slow(self: Storage, name: str, *parts: bytes) -> int:
        clock.now_s += 0.3 * config.worker.lease_timeout_s
        return write(self, name, *parts)

    monkeypatch.setattr(Storage, "write", slow)
    for _ in range(5):
        report_and_store(desk, ONE, lease, runner)
        held = desk.lease(ONE)
        if held.lease is None:
            break
        lease = held.lease
    assert desk.heartbeat(TWO, other)


def test_worker_that_gave_its_lease_back_gets_no_other_one(storage: Storage) -> None:
    desk = coordinator_of(config_of(LEARNS_ONLY), storage)
    lease = leased(desk.lease(ONE))
    desk.release(ONE)
    assert not desk.heartbeat(ONE, lease)
    assert desk.lease(ONE) == Reply(kind="done")
    assert leased(desk.lease(replace(TWO, index=lease.member))).member == lease.member


def test_lost_process_frees_its_lease(storage: Storage) -> None:
    desk = coordinator_of(config_of({"random": POPULATIONS["random"]}), storage)
    lease = leased(desk.lease(ONE))
    desk.lost(TWO.index)
    assert desk.heartbeat(ONE, lease)
    desk.lost(ONE.index)
    assert not desk.heartbeat(ONE, lease)
    assert leased(desk.lease(TWO)).member == lease.member


def test_keeper_that_follows_a_dead_one_lets_workers_keep_their_trials(storage: Storage) -> None:
    config, clock = config_of(LEARNS_ONLY), Clock()
    first = coordinator_of(config, storage, clock)
    lease = leased(first.lease(ONE))
    generation = first.files["learns"].generation
    again = Coordinator(config, EPOCH_IMAGES, storage, generation, now_s=clock, restarted=True)
    assert again.lease(TWO).kind == "wait"
    assert again.heartbeat(ONE, lease)
    assert again.lease(ONE) == Reply(kind="train", lease=lease)
    wait_s(again, clock, 2)
    taken = {leased(again.lease(replace(TWO, index=index))).member for index in (7, 8, 9)}
    assert taken == {0, 1, 2, 3} - {lease.member}


def test_process_that_died_with_its_node_is_no_loss_of_the_trial(storage: Storage) -> None:
    config = config_of({"random": POPULATIONS["random"]})
    dead: list[str] = []
    generation = start_generation(storage, config.populations)
    desk = Coordinator(config, EPOCH_IMAGES, storage, generation, lost_nodes=lambda: dead)
    dead.append("gone")
    for number in range(25):
        worker = WorkerId(index=0, incarnation=f"{number}", host="h", node="gone")
        desk.hello(worker)
        leased(desk.lease(worker))
    for number in range(20):
        worker = WorkerId(index=0, incarnation=f"on-{number}", host="h", node="here", log="/l")
        desk.hello(worker)
        leased(desk.lease(worker))
    assert not desk.stopped
    desk.hello(ONE)
    cause = "its process was lost 20 times, last: worker 0 on h, log /l"
    assert cause in desk.stopped


def test_lease_that_is_given_back_is_free(storage: Storage) -> None:
    desk = coordinator_of(config_of({"random": POPULATIONS["random"]}), storage)
    leased(desk.lease(ONE))
    desk.release(ONE)
    assert leased(desk.lease(TWO)).population == "random"


# ---- what is written


def test_trial_is_written_down_before_the_answer(storage: Storage, runner: ScriptedRunner) -> None:
    desk = coordinator_of(config_of(LEARNS_ONLY), storage)
    lease = leased(desk.lease(ONE))
    outcome = runner.train(lease)
    assert desk.report(ONE, lease, outcome).kind == "store"
    assert storage.list("populations/learns/journal") == []
    desk.stored(ONE, lease, outcome, runner.store(lease))
    assert len(storage.list("populations/learns/journal")) == 1


def test_upload_that_comes_after_its_round_is_tidied_away(
    storage: Storage, runner: ScriptedRunner
) -> None:
    desk = coordinator_of(config_of({"selects": POPULATIONS["selects"]}), storage)
    lease = leased(desk.lease(TWO))
    low = Outcome(reward=-1.0)
    assert desk.report(TWO, lease, low).kind == "store"
    reply = desk.lease(ONE)
    for _ in range(2):
        reply = report_and_store(desk, ONE, leased(reply), runner)
    assert len(committed_rounds(storage, "selects")) == 1
    late = runner.store(lease)
    desk.stored(TWO, lease, low, late)
    assert not storage.exists(late.name)


def test_confirmation_that_is_repeated_after_the_commit_removes_nothing(
    storage: Storage, runner: ScriptedRunner
) -> None:
    desk = coordinator_of(config_of({"random": POPULATIONS["random"]}), storage)
    lease = leased(desk.lease(ONE))
    outcome = runner.train(lease)
    assert desk.report(ONE, lease, outcome).kind == "store"
    checkpoint = runner.store(lease)
    following = leased(desk.stored(ONE, lease, outcome, checkpoint))
    assert following.round == 1
    assert leased(desk.stored(ONE, lease, outcome, checkpoint)) == following
    assert storage.exists(checkpoint.name)


# ---- stops


def test_driver_that_is_overtaken_ends_with_the_reason(
    storage: Storage, runner: ScriptedRunner
) -> None:
    config = config_of(LEARNS_ONLY)
    desk = coordinator_of(config, storage)
    reply = desk.lease(ONE)
    for _ in range(3):
        reply = report_and_store(desk, ONE, leased(reply), runner)
    start_generation(storage, config.populations)
    reply = report_and_store(desk, ONE, leased(reply), runner)
    assert reply.kind == "done"
    assert "found generation 1 beside this one, 0" in reply.reason
    assert desk.stopped == reply.reason
    assert committed_rounds(storage, "learns") == []
    desk.hello(replace(ONE, incarnation="again"))
    assert desk.lease(TWO) == reply


def test_stop_says_why_and_counts_as_no_end(storage: Storage) -> None:
    desk = coordinator_of(config_of({"random": POPULATIONS["random"]}), storage)
    first = leased(desk.lease(ONE))
    retry = leased(desk.report(ONE, first, RAISES))
    reply = desk.report(ONE, retry, RAISES)
    assert reply.kind == "done"
    assert "all 1 failed (member 0: ValueError: scripted)" in reply.reason
    assert not desk.finished
    assert committed_rounds(storage, "random") == []


# ---- restarts


@pytest.mark.parametrize("trials", range(1, TRIALS_OF_LEARNS))
def test_restart_after_any_trial_gives_the_same_rows(
    trials: int, storage: Storage, runner: ScriptedRunner
) -> None:
    config = config_of(LEARNS_ONLY, compact_rounds=2)
    by_hand(config, storage, runner, trials=trials)
    assert run_serial(coordinator_of(config, storage), runner, lambda *_: None) == ""
    assert results(config, storage) == reference(config, FAULTLESS)


def test_commit_that_a_crash_prevented_is_made_at_the_restart(
    storage: Storage, runner: ScriptedRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(LEARNS_ONLY)
    with monkeypatch.context() as patch:
        patch.setattr(RunFiles, "commit", _die)
        with pytest.raises(KeyboardInterrupt):
            by_hand(config, storage, runner, trials=4)
    assert committed_rounds(storage, "learns") == []
    desk = coordinator_of(config, storage)
    assert len(committed_rounds(storage, "learns")) == 1
    assert leased(desk.lease(ONE)).round == 1


class BrokenStorage(ScriptedRunner):
    """A runner to whom the run's storage is full from a given checkpoint on."""

    def store(self, lease: Lease) -> Checkpoint:
        if lease.round >= 2:
            raise RunError("the storage must take files, it is full: make room")
        return super().store(lease)


def test_storage_that_fails_stops_the_search_and_fails_no_trial(
    storage: Storage, runner: ScriptedRunner
) -> None:
    config = config_of(LEARNS_ONLY)
    broken = BrokenStorage(script=runner.script, storage=storage, marks=runner.marks)
    reason = run_serial(coordinator_of(config, storage), broken, lambda *_: None)
    assert "it is full" in reason
    assert len(committed_rounds(storage, "learns")) == 2
    assert run_serial(coordinator_of(config, storage), runner, lambda *_: None) == ""
    assert results(config, storage) == reference(config, FAULTLESS)


def test_a_stale_lease_whose_parent_is_gone_stops_nothing(
    storage: Storage, runner: ScriptedRunner
) -> None:
    desk = coordinator_of(config_of(LEARNS_ONLY), storage)
    lease = leased(desk.lease(ONE))
    desk.hello(WorkerId(index=0, incarnation="later"))
    report_and_store(desk, TWO, lease, runner)
    desk.abandon(ONE, lease, "its parent is gone")
    assert desk.stopped == ""


def test_a_file_that_a_newer_driver_deleted_is_told_as_what_it_is(
    storage: Storage, runner: ScriptedRunner
) -> None:
    config = config_of(LEARNS_ONLY)
    desk = coordinator_of(config, storage)
    lease = leased(desk.lease(ONE))
    start_generation(storage, config.populations)
    reply = desk.abandon(ONE, lease, "its parent is gone")
    assert reply.kind == "done"
    assert "found generation 1 beside this one, 0: this driver ends" in reply.reason


def test_a_checkpoint_that_the_keeper_cannot_see_stops_the_search(
    storage: Storage, runner: ScriptedRunner
) -> None:
    desk = coordinator_of(config_of(LEARNS_ONLY), storage)
    lease = leased(desk.lease(ONE))
    outcome = runner.train(lease)
    assert desk.report(ONE, lease, outcome).kind == "store"
    elsewhere = Checkpoint(name="populations/x.safetensors", size_bytes=1, digest="d")
    reply = desk.stored(ONE, lease, outcome, elsewhere)
    assert reply.kind == "done"
    assert "every node reaches" in reply.reason


def _die(self: RunFiles, closed: object) -> None:
    raise KeyboardInterrupt


def test_table_that_was_changed_is_refused(storage: Storage, runner: ScriptedRunner) -> None:
    config = config_of(LEARNS_ONLY)
    by_hand(config, storage, runner, trials=4)
    search = replace(POPULATIONS["learns"].search, learning_rate=0.5)
    other = config_of({"learns": replace(POPULATIONS["learns"], search=search)})
    with pytest.raises(RunError, match="the policy after round 0 of population learns"):
        coordinator_of(other, storage)
    search = replace(search, learning_rate=None, seed=99)
    other = config_of({"learns": replace(POPULATIONS["learns"], search=search)})
    with pytest.raises(RunError, match="round 0 of population learns must hold the draws"):
        coordinator_of(other, storage)


def test_more_rounds_continue_a_finished_run(storage: Storage, runner: ScriptedRunner) -> None:
    config = config_of(LEARNS_ONLY)
    assert run_serial(coordinator_of(config, storage), runner, lambda *_: None) == ""
    search = replace(POPULATIONS["learns"].search, rounds=6)
    longer = config_of({"learns": replace(POPULATIONS["learns"], search=search)})
    assert run_serial(coordinator_of(longer, storage), runner, lambda *_: None) == ""
    assert results(longer, storage) == reference(longer, FAULTLESS)
    assert len(storage.list(trials_folder("learns"))) == 6


# ---- displays


def test_standings_follow_the_search(storage: Storage, runner: ScriptedRunner) -> None:
    config = config_of({name: POPULATIONS[name] for name in ("learns", "fixed")})
    desk = coordinator_of(config, storage)
    learns, fixed = desk.standings()
    assert (learns.round, learns.rounds, learns.complete, learns.members) == (0, 5, 0, 4)
    assert (learns.method, learns.margin, learns.std) == ("reinforce", 0.05, 0.1)
    assert math.isnan(learns.reward)
    assert (fixed.method, fixed.members) == ("fixed", 2)
    assert math.isnan(fixed.std)
    by_hand(config, storage, runner, trials=7)
    learns, fixed = coordinator_of(config, storage).standings()
    assert (learns.round, learns.complete) == (1, 1)
    rows = committed_rounds(storage, "learns")[0].rows
    assert learns.reward == max(float(str(row["reward"])) for row in rows)


# ---- the worker's loop


class Unstorable(ScriptedRunner):
    """Nothing can be stored."""

    def store(self, lease: Lease) -> Checkpoint:
        raise OSError("no space\nleft")


def test_checkpoint_that_cannot_be_stored_fails_its_trial(
    storage: Storage, tmp_path: Path
) -> None:
    runner = Unstorable(script=FAULTLESS, storage=storage, marks=tmp_path / "marks")
    desk = coordinator_of(config_of({"random": POPULATIONS["random"]}), storage)
    told: list[str] = []
    reason = work(desk, runner, ONE, lambda lease, outcome: told.append(outcome.error))
    assert "member 0: OSError: no space left (worker 0 on " in reason
    assert [error.partition(" (")[0] for error in told] == ["OSError: no space left"] * 2


def test_reporter_hears_every_trial_after_the_desk(
    storage: Storage, runner: ScriptedRunner
) -> None:
    desk = coordinator_of(config_of({"random": POPULATIONS["random"]}), storage)
    heard = []

    def report(lease: Lease, outcome: Outcome) -> None:
        heard.append((lease.round, desk.standings()[0].round, "store_s" in outcome.costs))

    work(desk, runner, ONE, report)
    assert heard == [(number, number + 1, True) for number in range(4)]
