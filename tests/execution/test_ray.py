"""Ray keeps the contract of all executors; what only Ray has is tested beside it."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator
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
from lfs_ray.execution.ray_desk import RayDesk
from lfs_ray.execution.run_files import start_generation
from lfs_ray.execution.tune_run import RaySearch, run_on_ray
from lfs_ray.storage import Storage

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

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
    ) -> None:
        self.found.append(result)


def _has_torch(actor: object) -> bool:
    return "torch" in sys.modules


def test_tune_hears_of_every_trial_and_the_policy_actor_has_no_torch(tmp_path: Path) -> None:
    config = config_of(LEARNS_ONLY)
    storage = new_storage(tmp_path, config)
    runner = functools.partial(
        ScriptedRunner, script=FAULTLESS, storage=storage, marks=tmp_path / "marks"
    )
    heard, seen = Results(), []

    @contextlib.contextmanager
    def watch(desk: RayDesk) -> Iterator[None]:
        seen.append(ray.get(desk.actor.__ray_call__.remote(_has_torch)))
        yield
        seen.append(ray.get(desk.actor.__ray_call__.remote(_has_torch)))

    assert run_on_ray(search_of(config, storage, runner, heard), watch) == ""
    assert seen == [False, False]
    told = sorted((one["population"], one["round"], one["member"]) for one in heard.found)
    assert told == sorted(trainings(tmp_path / "marks").elements())
    assert results(config, storage) == reference(config, FAULTLESS)
