"""Parents through the object store on two nodes: the same bits, no read of the storage, and the
storage whenever the object store fails."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import ray
import scripted_runner
from executor_cases import EPOCH_IMAGES, FAULTLESS, LEARNS_ONLY, config_of, results
from ray import tune
from ray._private.internal_api import node_stats
from ray.cluster_utils import Cluster
from sharing_runner import CountingStorage, SharingRunner

from lfs_ray.config.dump import dump_toml
from lfs_ray.config.sections import Config
from lfs_ray.execution import parent_exchange
from lfs_ray.execution.coordinator import Coordinator
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.parent_exchange import ParentExchange, uses_object_store
from lfs_ray.execution.policy_actor import PolicyActor
from lfs_ray.execution.ray_desk import RayDesk
from lfs_ray.execution.serial import run_serial
from lfs_ray.execution.tune_run import RaySearch, run_on_ray
from lfs_ray.search.messages import Checkpoint
from lfs_ray.training.checkpoint import digest

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("default")]

SIZE_BYTES = 2_000_000
STORE_BYTES = 80 * 2**20
ROUNDS = 10
RAY_FREES_EVERY_S = 1.0


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    """Two nodes of two cores on this machine."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(prefix="ray-") as folder:
        # Its own, so that nobody else on the machine is led to this cluster.
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("PYTHONPATH", str(Path(scripted_runner.__file__).parent), prepend=os.pathsep)
        node = {"num_cpus": 2, "object_store_memory": STORE_BYTES}
        cluster = Cluster(
            initialize_head=True, head_node_args={**node, "include_dashboard": False}
        )
        cluster.add_node(**node)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def config() -> Config:
    given = config_of(LEARNS_ONLY, parents="object_store")
    (population,) = given.populations.values()
    longer = replace(population, search=replace(population.search, rounds=ROUNDS))
    worker = replace(given.worker, count=4)
    return replace(given, populations={"learns": longer}, worker=worker)


def storage_of(folder: Path, config: Config) -> CountingStorage:
    storage = CountingStorage(folder / "run", fsync=False)
    storage.write("config.toml", dump_toml(config).encode())
    return storage


@pytest.fixture
def reference(tmp_path: Path, config: Config) -> object:
    """What a serial run gives."""
    storage = storage_of(tmp_path / "serial", config)
    generation = start_generation(storage, config.populations)
    coordinator = Coordinator(config, EPOCH_IMAGES, storage, generation)
    runner = SharingRunner(script=FAULTLESS, storage=storage, size_bytes=SIZE_BYTES)
    assert run_serial(coordinator, runner, lambda *_: None) == ""
    assert storage.reads == []
    return results(config, storage)


class Watch(tune.Callback):  # type: ignore[misc]
    """Does something to the policy actor after every trial, and notes what comes of it."""

    def __init__(self, happen: Callable[[Any, int], object]) -> None:
        self.happen, self.found, self.trials = happen, [], 0

    def watch(self, desk: RayDesk) -> contextlib.AbstractContextManager[None]:
        self.actor = desk.actor
        return contextlib.nullcontext()

    def on_trial_result(self, *args: Any, **kwargs: Any) -> None:
        self.trials += 1
        self.found.append(self.happen(self.actor, self.trials))


def run(config: Config, storage: CountingStorage, happen: Callable[[Any, int], object]) -> Watch:
    """Run a search to its end, watched."""
    watch = Watch(happen)
    search = RaySearch(
        config=config,
        config_text=dump_toml(config),
        epoch_images=EPOCH_IMAGES,
        storage=storage,
        generation=start_generation(storage, config.populations),
        make_runner=functools.partial(
            SharingRunner, script=FAULTLESS, storage=storage, size_bytes=SIZE_BYTES
        ),
        callbacks=(watch,),
    )
    assert run_on_ray(search, watch.watch) == ""
    return watch


def _num_refs(actor: PolicyActor) -> int:
    return len(actor._shelf._refs)


def _lose_all(actor: PolicyActor) -> None:
    actor._shelf.ref_of = lambda name: []  # type: ignore[method-assign]


def _put_others(actor: PolicyActor) -> None:
    actor._shelf._put = lambda blob: ray.put(np.zeros(SIZE_BYTES, np.uint8))


@pytest.mark.slow
def test_no_node_reads_the_storage_and_little_is_held(
    tmp_path: Path, config: Config, reference: object
) -> None:
    used_bytes = []

    def look(actor: Any, trials: int) -> int:
        if trials == 4 * ROUNDS - 6:
            time.sleep(2 * RAY_FREES_EVERY_S)
            used_bytes.append(most_used_bytes())
        return int(ray.get(actor.__ray_call__.remote(_num_refs)))

    storage = storage_of(tmp_path, config)
    watch = run(config, storage, look)
    assert results(config, storage) == reference
    assert storage.reads == []
    assert max(watch.found) == 2
    # Two that are held, one on the way in, and what a worker has not let go of yet.
    assert SIZE_BYTES < max(used_bytes) < 6 * SIZE_BYTES


def most_used_bytes() -> int:
    """Bytes of objects on the node that holds most."""
    stats = [
        node_stats(node["NodeManagerAddress"], node["NodeManagerPort"]) for node in ray.nodes()
    ]
    return max(int(one.store_stats.object_store_bytes_used) for one in stats)


@pytest.mark.slow
def test_accidents_cost_reads_of_the_storage_and_nothing_else(
    tmp_path: Path, config: Config, reference: object
) -> None:
    def happen(actor: Any, trials: int) -> int:
        if trials in (3, 24):
            ray.get(actor.__ray_call__.remote(_lose_all if trials == 3 else _put_others))
        if trials in (16, 36):
            ray.kill(actor, no_restart=False)
        return len(storage.reads)

    storage = storage_of(tmp_path, config)
    reads = run(config, storage, happen).found
    assert results(config, storage) == reference
    assert reads[1] == 0 < reads[15] <= reads[23] < reads[35]


@ray.remote(num_cpus=0)
class Shelf:
    """Answers as the policy actor does, with whatever reference it is given."""

    def __init__(self, refs: list[Any]) -> None:
        self.refs = refs

    def parent_ref(self, name: str) -> list[Any]:
        return self.refs

    def put(self, blob: object) -> None:
        self.refs = [ray.put(blob)]


def test_bytes_are_shared_and_not_copied() -> None:
    blob = np.arange(SIZE_BYTES, dtype=np.uint8)
    shelf = Shelf.remote([ray.put(blob)])
    wanted = Checkpoint(name="x", size_bytes=blob.nbytes, digest=digest(blob.data))
    found = ParentExchange(shelf).fetch(wanted)
    assert found is not None
    assert found.readonly
    assert digest(found) == wanted.digest


def test_object_whose_owner_died_is_not_waited_for() -> None:
    owner = Shelf.remote([])
    ray.get(owner.put.remote(np.zeros(SIZE_BYTES, np.uint8)))
    shelf = Shelf.remote(ray.get(owner.parent_ref.remote("x")))
    ray.kill(owner)
    began = time.monotonic()
    wanted = Checkpoint(name="x", size_bytes=SIZE_BYTES, digest="0")
    # The bytes are there until Ray knows of the death.
    while ParentExchange(shelf).fetch(wanted) is not None:
        time.sleep(0.2)
    assert time.monotonic() - began < 60


def test_object_that_does_not_arrive_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent_exchange, "FIND_TIMEOUT_S", 2.0)
    shelf = Shelf.remote([_sleep.remote()])
    assert ParentExchange(shelf).fetch(Checkpoint(name="x", size_bytes=1, digest="0")) is None


@ray.remote(num_cpus=0)
def _sleep() -> None:
    time.sleep(30)


@pytest.mark.parametrize("refs", [[], None], ids=["nothing there", "actor gone"])
def test_what_is_not_there_is_nothing(refs: list[Any] | None) -> None:
    shelf = Shelf.remote(refs)
    if refs is None:
        ray.kill(shelf)
    assert ParentExchange(shelf).fetch(Checkpoint(name="x", size_bytes=1, digest="0")) is None


@pytest.mark.parametrize(
    ("parents", "remote", "workers", "shared"),
    [
        ("auto", False, 4, False),
        ("auto", True, 4, True),
        ("auto", True, 1, False),
        ("files", True, 4, False),
        ("object_store", False, 1, True),
    ],
)
def test_rule(parents: Any, remote: bool, workers: int, shared: bool) -> None:
    assert uses_object_store(parents, remote=remote, workers=workers) is shared
