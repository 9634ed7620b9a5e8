"""Train and score one trial; the process keeps the material and the last state between trials."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from lfs_ray.config.compat import with_section_switches
from lfs_ray.config.sections import Config, LossConfig
from lfs_ray.data.augment import Augmentation, AugmentedStream
from lfs_ray.data.batch_pixels import LabelledImages
from lfs_ray.data.decoded import DecodedImages
from lfs_ray.data.decoders import Decoders
from lfs_ray.data.loader import Batch, batches
from lfs_ray.data.stream import stream_flips, stream_indices
from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.losses.spec import HeadSize
from lfs_ray.seeds import derive_seed
from lfs_ray.training.checkpoint import model_facts
from lfs_ray.training.classify import class_ranks
from lfs_ray.training.device import prepare_process
from lfs_ray.training.loss_choice import new_loss
from lfs_ray.training.material import Material
from lfs_ray.training.schedule import RateSchedule
from lfs_ray.training.scoring import Score, embed, score
from lfs_ray.training.state import Arrays, TrainingState
from lfs_ray.training.steps import Loop, Trained


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialSpec:
    """A trial as training sees it: plain numbers."""

    loss: LossConfig
    space: str
    """What theta's numbers are."""
    theta: tuple[float, ...]
    """Empty for a hand-made loss."""
    seed: int
    stream_seed: int
    init_seed: int
    first_image: int
    """Stream position of the first image: the images of the lineage before."""
    num_images: int
    """Images of the trial."""
    total_images: int
    """Images of the whole lineage."""
    switches: frozenset[str] = frozenset()
    """What is done as the released code does it: names of `search.compat`."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What a trial gave."""

    score: Score
    trained: Trained
    eval_s: float


class Trainer:
    """Trains trials in this process, one after the other.

    Args:
        config: a resolved configuration.
        material: its data.
    """

    def __init__(self, config: Config, material: Material) -> None:
        self.config = config
        self.material = material
        self.device = prepare_process(config.worker)
        self._state: TrainingState | None = None
        self._model = config.model
        size_px = config.model.input_size_px
        keep = config.data.in_memory
        self._images: LabelledImages = (
            DecodedImages(material.faces, size_px=size_px) if keep else material.faces
        )
        processes = config.worker.loader_processes
        self._decoders = Decoders(self._images, processes) if processes else None

    def train(
        self, spec: TrialSpec, parent: Arrays | None, *, parent_name: str = ""
    ) -> TrialResult:
        """Train one trial from its parent (None: initial weights) and score it.

        Raises:
            TrainingError: too many non-finite steps.
            DataError: images are missing or undecodable, or an embedding is not finite.
        """
        torch.manual_seed(derive_seed(spec.seed, "torch"))
        config = with_section_switches(self.config, spec.switches)
        state = self._new_state(spec, config, None if parent is not None else spec.init_seed)
        if parent is not None:
            state.load(parent, name=parent_name)
        self._state, self._model = state, config.model
        loop = self._loop(spec, config)
        trained = loop.run(state, self._batches(spec, config), spec.first_image)
        began = time.perf_counter()
        result = self._score(state, spec.seed, config)
        return TrialResult(result, trained, time.perf_counter() - began)

    def _score(self, state: TrainingState, seed: int, config: Config) -> Score:
        """Score a state on the reward's pairs, which were decoded in the run's own colour."""
        reward = self.material.reward
        embeddings_KD = embed(
            state.backbone,
            reward.images_KHWC,
            config.model,
            config.reward,
            self.device,
            precision=config.worker.precision,
            colour=self.config.model.colour,
        )
        ranks_K = None
        if reward.targets_K is not None:
            ranks_K = class_ranks(state.classifier, embeddings_KD, reward.targets_K)
        return score(
            embeddings_KD,
            reward.pairs,
            config.reward,
            seed=derive_seed(seed, "bootstrap"),
            class_rank_K=ranks_K,
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The state that the last trial ended with; the next trial leaves it as it is."""
        assert self._state is not None
        return self._state.arrays()

    def facts(self) -> dict[str, object]:
        """What a checkpoint says of the model."""
        assert self._state is not None
        sub_centers = self._state.classifier.sub_centers
        return {"model": model_facts(self._model), "sub_centers": sub_centers}

    def _new_state(self, spec: TrialSpec, config: Config, init_seed: int | None) -> TrainingState:
        return TrainingState(
            config.model,
            config.optimizer,
            self.material.faces.num_classes,
            self.loss_of(spec),
            self.device,
            init_seed=init_seed,
            use_scaler=config.worker.precision == "fp16",
        )

    def _loop(self, spec: TrialSpec, config: Config) -> Loop:
        rates = RateSchedule(config.optimizer, len(self.material.faces), spec.total_images)
        return Loop(
            model=config.model,
            optimizer=config.optimizer,
            rates=rates,
            device=self.device,
            precision=config.worker.precision,
        )

    def _batches(self, spec: TrialSpec, config: Config) -> Iterator[Batch]:
        faces = self.material.faces
        start, count = spec.first_image, spec.num_images
        repeats = "repeat_first_permutation" in spec.switches
        return batches(
            self._images,
            stream_indices(spec.stream_seed, len(faces), start, count, repeat_first=repeats),
            stream_flips(spec.stream_seed, start, count, config.data.flip_probability),
            batch_size=config.optimizer.batch_size,
            size_px=config.model.input_size_px,
            colour=config.model.colour,
            threads=config.worker.loader_threads,
            max_bad_images=config.data.max_bad_images,
            augment=self._augmented(spec, config),
            decoders=self._decoders,
        )

    def _augmented(self, spec: TrialSpec, config: Config) -> AugmentedStream | None:
        """Changes of the images, by stream position: the members of a round see the same ones."""
        data = config.data
        augmentation = Augmentation(
            crop_probability=data.crop_probability,
            crop_scale_min=data.crop_scale_min,
            low_resolution_probability=data.low_resolution_probability,
            low_resolution_min=data.low_resolution_min,
            colour_jitter_probability=data.colour_jitter_probability,
            colour_jitter_strength=data.colour_jitter_strength,
            grey_probability=data.grey_probability,
        )
        if augmentation.changes_nothing:
            return None
        return AugmentedStream(
            augmentation, spec.stream_seed, spec.first_image, colour=config.model.colour
        )

    def loss_of(self, spec: TrialSpec) -> ClassifierLoss:
        """The trial's loss: searched under its theta, or hand-made."""
        config, faces = self.config, self.material.faces
        size = HeadSize(
            num_classes=faces.num_classes,
            embedding_dim=config.model.embedding_dim,
            epoch_images=len(faces),
            batch_size=config.optimizer.batch_size,
        )
        loss = new_loss(
            spec.loss, theta=spec.theta, space=spec.space, size=size, init_seed=spec.init_seed
        )
        loss.duplicate_identity_weight = "duplicate_identity_weight" in spec.switches
        return loss
