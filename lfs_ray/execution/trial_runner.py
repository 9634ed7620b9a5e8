"""A lease -> a trained trial: the only place where search's words become training's.

Imports torch: workers and the serial executor load it, the policy actor doesn't.
"""

from __future__ import annotations

from collections import OrderedDict

from lfs_ray.config.sections import Config
from lfs_ray.errors import RunError
from lfs_ray.execution.blueprint import lengths
from lfs_ray.execution.run_files import checkpoint_name
from lfs_ray.search.messages import Checkpoint, Lease, Outcome, Parent
from lfs_ray.storage import Storage
from lfs_ray.training.checkpoint import decode, digest
from lfs_ray.training.device import device_name
from lfs_ray.training.material import Material, open_material
from lfs_ray.training.state import Arrays
from lfs_ray.training.trainer import Trainer, TrialResult, TrialSpec

_CACHED_PARENTS = 4


class TrialRunner:
    """Trains leases in this process.

    Args:
        config: a resolved configuration.
        storage: the run directory.
        material: the opened data; None: opened with the first trial.
    """

    def __init__(self, config: Config, storage: Storage, material: Material | None = None) -> None:
        self.config = config
        self.storage = storage
        self._material = material
        self._trainer: Trainer | None = None
        self._parents: OrderedDict[str, Arrays] = OrderedDict()

    @property
    def trainer(self) -> Trainer:
        """The trainer; made when it is first needed, so that its errors are a trial's."""
        if self._trainer is None:
            material = self._material or open_material(self.config)
            self._trainer = Trainer(self.config, material)
        return self._trainer

    def spec(self, lease: Lease) -> TrialSpec:
        """The trial that a lease stands for."""
        population = self.config.populations[lease.population]
        length = lengths(self.config, population, len(self.trainer.material.faces))
        return TrialSpec(
            loss=population.loss,
            space=population.search.space,
            theta=lease.theta,
            seed=lease.seed,
            stream_seed=lease.stream_seed,
            init_seed=lease.init_seed,
            first_image=lease.round * length.round_images,
            num_images=length.round_images,
            total_images=length.total_images,
        )

    def train(self, lease: Lease) -> Outcome:
        """Train and score a trial."""
        trainer = self.trainer
        parent = lease.parent
        arrays = self._load(parent) if parent else None
        name = parent.checkpoint.name if parent else ""
        result = trainer.train(self.spec(lease), arrays, parent_name=name)
        return _outcome(result, device_name(trainer.device))

    def store(self, lease: Lease) -> Checkpoint:
        """Store the state that the last trial ended with."""
        arrays = self.trainer.arrays()
        facts: dict[str, object] = {
            "population": lease.population,
            "round": lease.round,
            "member": lease.member,
            "theta": list(lease.theta),
        }
        blob = self.trainer.encode(arrays, facts)
        name = checkpoint_name(lease)
        self.storage.write(name, blob)
        self._remember(name, arrays)
        return Checkpoint(name=name, size_bytes=len(blob), digest=digest(blob))

    def _load(self, parent: Parent) -> Arrays:
        """A parent's arrays, from this process or from the run's files."""
        checkpoint = parent.checkpoint
        cached = self._parents.get(checkpoint.name)
        if cached is not None:
            return cached
        blob = self.storage.read(checkpoint.name)
        if len(blob) != checkpoint.size_bytes or digest(blob) != checkpoint.digest:
            raise RunError(
                f"the parent {self.storage.path(checkpoint.name)} must hold "
                f"{checkpoint.size_bytes} bytes with digest {checkpoint.digest}, found "
                f"{len(blob)} with {digest(blob)}: restore it from a copy"
            )
        arrays, _ = decode(blob, name=checkpoint.name)
        self._remember(checkpoint.name, arrays)
        return arrays

    def _remember(self, name: str, arrays: Arrays) -> None:
        self._parents[name] = arrays
        while len(self._parents) > max(_CACHED_PARENTS, len(self.config.populations)):
            self._parents.popitem(last=False)


def _outcome(result: TrialResult, device: str) -> Outcome:
    trained, score = result.trained, result.score
    return Outcome(
        reward=score.accuracy,
        reward_se=score.standard_error,
        train_loss=trained.loss,
        costs={
            "images_per_s": trained.images / trained.train_s,
            "data_wait_s": trained.data_wait_s,
            "train_s": trained.train_s,
            "eval_s": result.eval_s,
            "device": device,
        },
    )
