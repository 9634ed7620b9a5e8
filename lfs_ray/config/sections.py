"""The configuration: one frozen dataclass a section, one documented field a key.

The sections of processes, files and display stand in machine.py.

Every key is a TOML key `section.key` and a flag `--section.key VALUE` whose help is the text below
the field. Defaults are those of the embedded example: a CPU trains it in under two minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from lfs_ray.config.choices import BackboneName, CompatName, PolicyName, RuleName, ShapingName
from lfs_ray.config.machine import LoggingConfig, StorageConfig, WorkerConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """The run as a whole."""

    name: str = ""
    """Name of the run directory; empty: the configuration file's name and the date."""
    dir: str = "runs"
    """Folder (or URI) in which new run directories are made."""
    seed: int = 0
    """Seed of everything random; a population may set its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Faces to train on and pairs that give the reward."""

    train: tuple[str, ...] = ()
    """Packed sets (`lfs-ray data pack`) or LMDBs; several are joined; empty: synthetic faces."""
    lists: tuple[str, ...] = ()
    """List files (`lmdb_key label`) of the entries of `train`; empty: list.txt inside each."""
    validation_images: str = ""
    """Folder or packed set with the images that `validation_pairs` names."""
    validation_pairs: str = ""
    """Pair list whose verification accuracy is the reward; empty: pairs of held-out identities."""
    validation_share: float = 0.333
    """Share of the identities held out for the reward without `validation_pairs`, 0..1."""
    validation_split: Literal["identities", "images"] = "identities"
    """What is held out: whole identities, or that share of every identity's images, so that
    classification (`top1`) can be scored."""
    validation_pairs_per_fold: int = 300
    """Same-identity pairs, and as many different ones, in each of ten made folds."""
    flip_probability: float = 0.5
    """Chance of a left-right mirror of a training image, 0..1."""
    crop_probability: float = 0.0
    """Chance that a random part of a training image is stretched to the whole, 0..1."""
    crop_scale_min: float = 0.2
    """Least share of the area in that part, up to 1; its sides differ by up to 4/3."""
    low_resolution_probability: float = 0.0
    """Chance that a training image is reduced and enlarged again by random filters, 0..1."""
    low_resolution_min: float = 0.2
    """Least side of the reduced image, as a share of `model.input_size_px`, up to 1."""
    colour_jitter_probability: float = 0.0
    """Chance that brightness, contrast and saturation of a training image change, 0..1."""
    colour_jitter_strength: float = 0.5
    """Their factors are drawn from 1 minus to 1 plus this, 0..1."""
    grey_probability: float = 0.0
    """Chance that a training image loses its colour, 0..1."""
    max_bad_images: int = 0
    """Undecodable images a round may skip (counted) before its trial stops."""
    in_memory: bool = False
    """Keep decoded training images in each worker's memory: each is decoded once, not once an
    epoch."""
    synthetic_identities: int = 180
    """Identities of the synthetic faces (training and validation together)."""
    synthetic_images: int = 20
    """Images of each synthetic identity."""
    synthetic_seed: int = 0
    """Seed of the synthetic faces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """Backbone, embedding, and the pixels it expects."""

    backbone: BackboneName = "tiny"
    """Network that turns an image into an embedding."""
    width: int = 16
    """Channels of the first stage of `tiny`; the other backbones have fixed widths."""
    embedding_dim: int = 64
    """Length of the embedding."""
    input_size_px: int = 48
    """Side of the square input, pixels; images of other sizes are resized."""
    colour: Literal["rgb", "bgr"] = "rgb"
    """Channel order the model is trained with; stored in its checkpoints."""
    pixel_mean: float = 127.5
    """Subtracted from pixels 0..255."""
    pixel_scale: float = 128.0
    """Pixels are divided by this after the subtraction."""
    classifier: Literal["dense", "chunked"] = "dense"
    """All logits at once, or one chunk of the classes at a time: slower, without a matrix as long
    as there are classes; the same numbers to rounding."""
    classifier_chunk: int = 4096
    """Classes a chunk of `chunked`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """The classification loss."""

    name: str = "global"
    """Loss over the cosine logits, a name of docs/losses.md; some are searched, others fixed."""
    scale: float | None = None
    """s in s*cos(theta); None: the loss's own."""
    margin: float | None = None
    """Margin of losses that have one, in the loss's own unit; None: the loss's own."""
    rule: str | None = None
    """Where the margin applies (docs/losses.md); None: the loss's own."""
    grad: str | None = None
    """Whether the margin is differentiated, `exact` or `detached`; None: the loss's own."""
    focal_gamma: float = 0.0
    """Focal factor (1 - p)^gamma on top of any loss; 0: none."""
    options: tuple[str, ...] = ()
    """Further options of the loss as texts `name=value` (docs/losses.md); others: its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """Policy, search space and rounds of a population."""

    policy: PolicyName = "pgpe"
    """How thetas are drawn and learnt from."""
    space: str = ""
    """Parameterisation of the searched numbers (docs/search.md); empty: the loss's first."""
    members: int = 4
    """Trials a round (B); where it is not named, 32 for loss am_lfs, as in its paper."""
    rounds: int = 12
    """Rounds of the search."""
    round_epochs: float = 0.75
    """Length of a round in passes over the training set."""
    start: tuple[float, ...] = ()
    """Mean of the first draws, one for all components or one each; empty: the space's own."""
    sigma: tuple[float, ...] = ()
    """Standard deviation of the draws, one for all or one each; empty: the space's own."""
    learning_rate: float | None = None
    """Adam step of the policy's mean, in the space's unit; None: the space's own."""
    beta1: float = 0.5
    """Adam's first decay."""
    beta2: float = 0.999
    """Adam's second decay."""
    shaping: ShapingName = "std"
    """How rewards become advantages."""
    advantage_floor: float = 1e-4
    """Least standard deviation of the rewards that `std` divides by."""
    margin_max: float = 1.0
    """Largest margin a theta may stand for (spaces margin and log)."""
    warmup_epochs: float = 0.0
    """First epochs trained by one member under `warmup_theta`, without drawing."""
    warmup_theta: tuple[float, ...] = ()
    """Theta of the warm-up, one for all components or one each; empty: the start."""
    script: tuple[float, ...] = ()
    """Thetas of policy `schedule`, round after round (`lfs-ray train --schedule` fills it in)."""
    compat: tuple[CompatName, ...] = ()
    """What the released code of Search-Softmax did, switch by switch; `released`: all of it."""
    seed: int | None = None
    """Seed of the population; None: run.seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """SGD and its schedule over the images seen in the lineage."""

    batch_size: int = 32
    """Images a step."""
    learning_rate: float = 0.1
    """Peak learning rate."""
    momentum: float = 0.9
    """Momentum."""
    weight_decay: float = 5e-4
    """L2 penalty."""
    decay_norm_and_bias: bool = True
    """Whether normalisation weights and biases decay too."""
    warmup_epochs: float = 0.25
    """Lineage epochs of linear warm-up."""
    schedule: Literal["constant", "milestones", "polynomial"] = "polynomial"
    """Decay after the warm-up."""
    milestones_epochs: tuple[float, ...] = ()
    """Lineage epochs at which `milestones` multiplies by `milestone_factor`."""
    milestone_factor: float = 0.1
    """Factor of each milestone."""
    polynomial_power: float = 1.0
    """Power of `polynomial`."""
    decay_epochs: float | None = None
    """Lineage epochs at which `polynomial` reaches zero; None: the population's whole length."""
    clip_norm: float = 5.0
    """Largest norm of the whole gradient; 0: no clipping."""
    max_nonfinite_steps: int = 10
    """Steps with a non-finite loss or gradient that a trial may skip before it fails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RewardConfig:
    """Score of a trial on the validation pairs. `reward = "NAME"` is short for its metric."""

    metric: str = "accuracy"
    """What is maximised, by name (docs/evaluation.md): `accuracy`, `tar@far=1e-3`, `rank1`, ...;
    several are weighted like `0.7*accuracy + 0.3*tar@far=1e-3`."""
    rule: RuleName = "insightface"
    """Rule of the 10-fold verification accuracy."""
    flip: bool = True
    """Sum the embeddings of an image and its mirror."""
    batch_size: int = 128
    """Images embedded at once."""
    bootstrap_samples: int = 200
    """Identity-bootstrap samples of the standard error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportConfig:
    """One set on which the final models are reported, never a reward."""

    images: str = ""
    """Folder or packed set with the images."""
    pairs: str = ""
    """Pair list; empty: pairs are made of the people of a packed set."""
    metrics: tuple[str, ...] = ()
    """Further figures of the final models beside the accuracy, by name as in `reward.metric`."""
    pairs_per_fold: int = 300
    """Same-identity pairs, and as many different ones, in each of ten made folds."""
    shares_people: bool = False
    """Whether people of the training or reward set may be in it: names that only look alike."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PopulationConfig:
    """One population: the sections it does not share with the run."""

    search: SearchConfig = field(default_factory=SearchConfig)
    """As the section `search`, for this population."""
    loss: LossConfig = field(default_factory=LossConfig)
    """As the section `loss`, for this population."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MethodConfig(PopulationConfig):
    """One method of `lfs-ray compare`: a population for each seed and restart."""

    margins: tuple[float, ...] = ()
    """Margins of a hand-made loss, one a restart; the reward chooses. Empty: seeds are drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareConfig:
    """What all methods of `lfs-ray compare` share."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds of every method; methods are compared seed by seed."""
    lineage_epochs: float = 5.0
    """Epochs of every lineage that the budget allows so long."""
    budget_epochs: float = 20.0
    """Epochs of a method for each seed, over all members and restarts."""
    bootstrap_samples: int = 2000
    """Resamplings of the people of a report set."""
    replay: bool = True
    """Whether the schedule of every search is replayed from other initial weights: a row more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """A whole configuration."""

    run: RunConfig = field(default_factory=RunConfig)
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    worker: WorkerConfig = field(default_factory=WorkerConfig)
    storage: StorageConfig = field(default_factory=StorageConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    report: dict[str, ReportConfig] = field(default_factory=dict)
    """Named report sets."""
    populations: dict[str, PopulationConfig] = field(default_factory=dict)
    """Named populations; keys left out are those of `search` and `loss`. Empty: one, `main`."""
    compare: CompareConfig = field(default_factory=CompareConfig)
    methods: dict[str, MethodConfig] = field(default_factory=dict)
    """Named methods of `lfs-ray compare`; keys left out are those of `search` and `loss`."""
