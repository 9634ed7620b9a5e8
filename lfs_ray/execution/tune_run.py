"""A search on Ray: one named policy actor, and workers that Ray Tune runs as its trials.

Each Tune trial is one worker for the whole search; it reports every finished trial to Tune as
well, so that Tune's tables, callbacks and loggers work. Tune's own folder lies in temporary
storage: nothing of ours reads it. A worker whose process dies is started again by Tune, without
end: the population decides when a trial has failed.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import ray
from ray import tune
from ray.tune.progress_reporter import TrialProgressCallback

from lfs_ray.config.machine import WorkerConfig
from lfs_ray.config.sections import Config
from lfs_ray.errors import ConfigError
from lfs_ray.execution.admission import Admission
from lfs_ray.execution.cluster_view import ClusterView
from lfs_ray.execution.connection import NAMESPACE
from lfs_ray.execution.coordinator import Coordinator
from lfs_ray.execution.newcomers import watched_newcomers
from lfs_ray.execution.parent_exchange import RunnerFactory, sharing, uses_object_store
from lfs_ray.execution.policy_actor import PolicyActor
from lfs_ray.execution.ray_desk import RayDesk
from lfs_ray.execution.search_end import SearchEnd
from lfs_ray.execution.tune_worker import TuneWorker, remote_class
from lfs_ray.storage import Storage

HEAD = "node:__internal_head__"


@dataclass(frozen=True, kw_only=True, slots=True)
class RaySearch:
    """What a search on Ray needs.

    Args:
        config: the resolved configuration.
        config_text: config.toml's text.
        epoch_images: images of the training set.
        storage: the run directory.
        generation: this driver's.
        make_runner: makes what trains, in each worker's process.
        callbacks: more Tune callbacks.
        tell: takes lines that the user should read.
    """

    config: Config
    config_text: str
    epoch_images: int
    storage: Storage
    generation: int
    make_runner: RunnerFactory
    callbacks: tuple[tune.Callback, ...] = ()
    tell: Callable[[str], None] = lambda line: None


def check_resources(worker: WorkerConfig) -> None:
    """Refuse workers that the machine on which Ray was started here can never hold.

    Raises:
        ConfigError: one line.
    """
    whole = _cluster()
    for kind, needed in resources(worker).items():
        there = whole.get(kind.upper(), 0.0)
        if needed > there:
            raise ConfigError(
                f"worker.{kind}s must be at most the {there:g} {kind.upper()}s of this machine, "
                f"got {needed:g}: lower it, or name a cluster in worker.ray_address"
            )


def device_kind(worker: WorkerConfig) -> Literal["cpu", "cuda"]:
    """The method key `worker.device`, resolved on this cluster: a GPU where workers get one.

    Raises:
        ConfigError: cuda is asked for, and workers get no GPU.
    """
    with_gpu = resources(worker)["gpu"] > 0
    if worker.device == "cuda" and not with_gpu:
        raise ConfigError(
            "worker.device cuda needs a GPU for every worker, got none from Ray: set "
            "worker.device to cpu, or worker.gpus above 0 on a cluster with GPUs"
        )
    if worker.device != "auto":
        return worker.device
    return "cuda" if with_gpu else "cpu"


def resources(worker: WorkerConfig) -> dict[str, float]:
    """What Ray reserves for one worker; a GPU where the cluster has one and nothing is said."""
    gpus = worker.gpus
    if gpus is None:
        wanted = worker.device != "cpu" and _cluster().get("GPU", 0) > 0
        gpus = 1.0 if wanted else 0.0
    return {"cpu": worker.cpus, "gpu": gpus}


def _cluster() -> dict[str, float]:
    """Resources of the whole cluster."""
    whole: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return whole


def count_workers(config: Config) -> int:
    """Workers: as configured, else the smaller of all members and the GPUs (or cores)."""
    if config.worker.count is not None:
        return config.worker.count
    each, whole = resources(config.worker), _cluster()
    kind = "GPU" if each["gpu"] > 0 else "CPU"
    room = int(whole.get(kind, 0) / max(each[kind.lower()], 1e-9)) if each[kind.lower()] else 1
    members = sum(population.search.members for population in config.populations.values())
    return max(1, min(members, room))


def run_on_ray(search: RaySearch, watch: Callable[[RayDesk], Any]) -> str:
    """Run a search to its end; the reason when it stopped before.

    Args:
        search: what to run; this process is connected to Ray.
        watch: entered with the desk as a context manager for the time of the search (displays).
    """
    actor = _start_actor(search)
    desk = RayDesk(actor)
    admission = Admission.of(search.config, search.storage, search.generation)
    needed = resources(search.config.worker)
    try:
        with ExitStack() as stack:
            stack.enter_context(watch(desk))
            stack.enter_context(watched_newcomers(admission, needed, search.tell))
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lfs-ray-tune-"))
            _fit(search, actor, admission, folder)
        standings, stopped = desk.standings()
        if not stopped and any(one.round < one.rounds for one in standings):
            return "the search must reach its last round, its workers ended before: resume it"
        return stopped
    finally:
        ray.kill(actor)


def _start_actor(search: RaySearch) -> Any:
    # Whatever is wrong with the run's files is said here, in one line: an actor that cannot be
    # made is only ever reported as dead.
    look = Coordinator(search.config, search.epoch_images, search.storage, search.generation)
    for line in look.notices:
        search.tell(line)
    name = f"policy-{uuid.uuid4().hex[:12]}"
    head = {HEAD: 0.001} if HEAD in _cluster() else {}
    remote = remote_class(PolicyActor).options(
        name=name,
        namespace=NAMESPACE,
        num_cpus=0,
        resources=head,
        max_restarts=-1,
        max_task_retries=-1,
    )
    actor = remote.remote(
        search.config_text, search.epoch_images, search.storage, search.generation, ClusterView()
    )
    ray.get(actor.standings.remote())
    return actor


def _fit(search: RaySearch, actor: Any, admission: Admission, folder: str) -> None:
    worker, num_workers = search.config.worker, count_workers(search.config)
    parents, remote = search.config.storage.parents, search.storage.is_remote
    shared = uses_object_store(parents, remote=remote, workers=num_workers)
    make_runner = sharing(search.make_runner, actor) if shared else search.make_runner
    trainable = tune.with_parameters(
        TuneWorker,
        actor=actor,
        make_runner=make_runner,
        heartbeat_s=worker.heartbeat_s,
        admission=admission,
    )
    tuner = tune.Tuner(
        tune.with_resources(trainable, resources(worker)),
        param_space={"worker": tune.grid_search(list(range(num_workers)))},
        tune_config=tune.TuneConfig(reuse_actors=False),
        run_config=tune.RunConfig(
            name="search",
            storage_path=folder,
            failure_config=tune.FailureConfig(max_failures=-1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[_SilentProgress(), _Mourner(actor), *search.callbacks],
            stop=SearchEnd(actor),
            verbose=0,
        ),
    )
    tuner.fit()


class _SilentProgress(TrialProgressCallback):
    """Tune's own lines about its trials, left out: it prints one at the end whatever `verbose`."""

    def _print(self, msg: str) -> None:
        pass

    def log_result(self, *args: object, **kwargs: object) -> None:
        """Print nothing."""


class _Mourner(tune.Callback):
    """Tells the policy actor of a worker's dead process as soon as Tune knows.

    Its lease would else run out by itself, or at the start of the process after it, which may
    have to wait for a place.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def on_trial_recover(
        self, iteration: int, trials: list[Any], trial: Any, **info: object
    ) -> None:
        """A Tune trial failed and is going to be started again."""
        self._actor.lost.remote(int(trial.config["worker"]))
