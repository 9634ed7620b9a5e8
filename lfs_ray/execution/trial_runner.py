"""A lease -> a trained trial: the only place where search's words become training's.

Imports torch: workers and the serial executor load it, the policy actor doesn't.
"""

from __future__ import annotations

from lfs_ray.config.sections import Config
from lfs_ray.execution.blueprint import lengths
from lfs_ray.execution.checkpoints import Checkpoints, Exchange
from lfs_ray.search.messages import Checkpoint, Lease, Outcome
from lfs_ray.storage import Storage
from lfs_ray.training.device import device_name
from lfs_ray.training.material import Material, open_material
from lfs_ray.training.trainer import Trainer, TrialResult, TrialSpec

_KEPT_STATES = 4


class TrialRunner:
    """Trains leases in this process.

    Args:
        config: a resolved configuration.
        storage: the run directory.
        material: the opened data; None: opened with the first trial.
    """

    def __init__(self, config: Config, storage: Storage, material: Material | None = None) -> None:
        self.config = config
        self.checkpoints = Checkpoints(storage, keep=max(_KEPT_STATES, len(config.populations)))
        self._material = material
        self._trainer: Trainer | None = None

    def share_parents(self, exchange: Exchange) -> None:
        """Take parents from the exchange where it has them."""
        self.checkpoints.exchange = exchange

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
            switches=frozenset(population.search.compat),
        )

    def train(self, lease: Lease) -> Outcome:
        """Train and score a trial."""
        trainer = self.trainer
        parent = lease.parent
        arrays = self.checkpoints.start_of(lease)
        name = parent.checkpoint.name if parent else ""
        result = trainer.train(self.spec(lease), arrays, parent_name=name)
        return _outcome(result, device_name(trainer.device))

    def store(self, lease: Lease) -> Checkpoint:
        """Store the state that the last trial ended with."""
        trainer = self.trainer
        return self.checkpoints.store(lease, trainer.arrays(), trainer.facts())


def _outcome(result: TrialResult, device: str) -> Outcome:
    trained, score = result.trained, result.score
    return Outcome(
        reward=score.reward,
        reward_se=score.reward_se,
        train_loss=trained.loss,
        costs={
            "images_per_s": trained.images / trained.train_s,
            "data_wait_s": trained.data_wait_s,
            "train_s": trained.train_s,
            "eval_s": result.eval_s,
            "device": device,
        },
    )
