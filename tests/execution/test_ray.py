"""Ray keeps the contract of all executors; what only Ray has is tested beside it."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
import scripted_runner
from executor_cases import (
    EPOCH_IMAGES,
    FAULTLESS,
    LEARNS_ONLY,
    MakeRunner,
    by_hand,
    checkpoints_left,
    config_of,
    new_storage,
    reference,
    results,
)
from executor_contract import ExecutorContract
from ray import tune
from scripted_runner import ScriptedRunner, trainings

from lfs_ray.config.dump import dump_toml
from lfs_ray.config.sections import Config
from lfs_ray.errors import RunError
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.ray_desk import RayDesk
from lfs_ray.execution.tune_run import RaySearch, run_on_ray
from lfs_ray.execution.worker import Runner
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_rounds

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """A small Ray of our own for this module, whose workers find the scripted runner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(scripted_runner.__file__).parent), prepend=os.pathsep)
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100 * 2**20,
            log_to_driver=False,
            logging_level="ERROR",
        )
    yield
    ray.shutdown()


def search_of(
    config: Config, storage: Storage, make_runner: MakeRunner, *callbacks: tune.Callback
) -> RaySearch:
    """A search on Ray as the driver starts it."""
    return RaySearch(
        config=config,
        config_text=dump_toml(config),
        epoch_images=EPOCH_IMAGES,
        storage=storage,
        generation=start_generation(storage, config.populations),
        make_runner=make_runner,
        callbacks=callbacks,
    )


class TestRay(ExecutorContract):
    """A worker dies by SIGKILL and Tune starts it again: the search goes on by itself."""

    deadly = "kill"

    @classmethod
    def run(cls, config: Config, storage: Storage, make_runner: MakeRunner) -> str:
        """Run on the module's Ray."""
        return run_on_ray(search_of(config, storage, make_runner), contextlib.nullcontext)


class Results(tune.Callback):  # type: ignore[misc]
    """Collects what Tune hears."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def on_trial_result(self, *args: Any, result: dict[str, Any], **kwargs: Any) -> None:
        self.found.append(result)


class KillsActor(Results):
    """Ends the policy actor's process once, in the middle of the search."""

    def watch(self, desk: RayDesk) -> contextlib.AbstractContextManager[None]:
        self.actor = desk.actor
        return contextlib.nullcontext()

    def on_trial_result(self, *args: Any, result: dict[str, Any], **kwargs: Any) -> None:
        super().on_trial_result(result=result)
        if len(self.found) == 6:
            ray.kill(self.actor, no_restart=False)


def _has_torch(actor: object) -> bool:
    return "torch" in sys.modules


@pytest.fixture
def config() -> Config:
    return config_of(LEARNS_ONLY)


@pytest.fixture
def storage(tmp_path: Path, config: Config) -> Storage:
    return new_storage(tmp_path, config)


@pytest.fixture
def make_runner(tmp_path: Path, storage: Storage) -> MakeRunner:
    return functools.partial(
        ScriptedRunner, script=FAULTLESS, storage=storage, marks=tmp_path / "marks"
    )


def test_tune_hears_of_every_trial_and_the_policy_actor_has_no_torch(
    config: Config, storage: Storage, make_runner: MakeRunner, tmp_path: Path
) -> None:
    heard, seen = Results(), []

    @contextlib.contextmanager
    def watch(desk: RayDesk) -> Iterator[None]:
        seen.append(ray.get(desk.actor.__ray_call__.remote(_has_torch)))
        yield
        seen.append(ray.get(desk.actor.__ray_call__.remote(_has_torch)))

    assert run_on_ray(search_of(config, storage, make_runner, heard), watch) == ""
    assert seen == [False, False]
    told = sorted((one["population"], one["round"], one["member"]) for one in heard.found)
    assert told == sorted(trainings(tmp_path / "marks").elements())
    assert results(config, storage) == reference(config, FAULTLESS)


def _num_left(actor: Any) -> int:
    return len(actor._coordinator._left)


def test_worker_that_is_told_to_end_gives_its_lease_back(
    config: Config, storage: Storage, make_runner: MakeRunner, tmp_path: Path
) -> None:
    trial, left = ("learns", 1, 2), []

    @contextlib.contextmanager
    def watch(desk: RayDesk) -> Iterator[None]:
        yield
        left.append(ray.get(desk.actor.__ray_call__.remote(_num_left)))

    runner = functools.partial(make_runner, accidents={("train", trial): "preempt"})
    assert run_on_ray(search_of(without_expiry(config), storage, runner), watch) == ""
    assert left == [1]
    assert trainings(tmp_path / "marks")[trial] == 2
    assert results(config, storage) == reference(config, FAULTLESS)


def without_expiry(config: Config, **worker: Any) -> Config:
    """No lease ever runs out: whoever is dead must be known to be."""
    return replace(config, worker=replace(config.worker, lease_timeout_s=1e6, **worker))


def test_dead_worker_whose_place_another_one_takes_holds_nothing_up(
    config: Config, storage: Storage, make_runner: MakeRunner, tmp_path: Path
) -> None:
    trial = ("learns", 1, 2)
    runner = functools.partial(make_runner, accidents={("train", trial): "kill"})
    three_on_two_cores = without_expiry(config, count=3)
    search = search_of(three_on_two_cores, storage, runner)
    assert run_on_ray(search, contextlib.nullcontext) == ""
    assert trainings(tmp_path / "marks")[trial] == 2
    assert results(config, storage) == reference(config, FAULTLESS)


def test_worker_without_work_trains_a_second_copy_of_a_late_trial(
    config: Config, storage: Storage, make_runner: MakeRunner, tmp_path: Path
) -> None:
    trial = ("learns", 2, 1)
    runner = functools.partial(make_runner, waits_for_copy=frozenset({trial}))
    backed_up = without_expiry(config, backup_trials=True)
    assert run_on_ray(search_of(backed_up, storage, runner), contextlib.nullcontext) == ""
    assert trainings(tmp_path / "marks")[trial] == 2
    assert results(config, storage) == reference(config, FAULTLESS)


def test_policy_actor_that_dies_takes_up_the_run_from_its_files(
    config: Config, storage: Storage, make_runner: MakeRunner
) -> None:
    killer = KillsActor()
    assert run_on_ray(search_of(config, storage, make_runner, killer), killer.watch) == ""
    assert len(killer.found) >= 6
    assert results(config, storage) == reference(config, FAULTLESS)


def test_overtaken_driver_ends_and_says_why(
    config: Config, storage: Storage, make_runner: MakeRunner
) -> None:
    def watch(desk: RayDesk) -> contextlib.AbstractContextManager[None]:
        start_generation(storage, config.populations)
        return contextlib.nullcontext()

    reason = run_on_ray(search_of(config, storage, make_runner), watch)
    assert "found generation 1 beside this one, 0" in reason
    assert committed_rounds(storage, "learns") == []


def _no_runner() -> Runner:
    raise OSError("no such disk")


def test_worker_that_cannot_be_made_fails_trials_instead_of_starting_for_ever(
    config: Config, storage: Storage
) -> None:
    reason = run_on_ray(search_of(config, storage, _no_runner), contextlib.nullcontext)
    assert "member 0: OSError: no such disk (worker " in reason


def test_run_that_cannot_be_taken_up_is_refused_in_one_line(
    config: Config, storage: Storage, make_runner: MakeRunner
) -> None:
    runner = make_runner()
    assert isinstance(runner, ScriptedRunner)
    by_hand(config, storage, runner, trials=4)
    for name in checkpoints_left(storage, "learns"):
        storage.delete(name)
    with pytest.raises(RunError, match=r"^the parent of round 1 .* restore it from a copy$"):
        run_on_ray(search_of(config, storage, make_runner), contextlib.nullcontext)
