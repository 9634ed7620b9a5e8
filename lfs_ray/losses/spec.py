"""What the catalogue knows of a loss: how it is built, its options, which are neutral.

Every family's file ends in the specs of its losses; catalogue.LOSSES lists them by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.losses.options import Option, Value


@dataclass(frozen=True, kw_only=True, slots=True)
class HeadSize:
    """Sizes that some losses need."""

    num_classes: int
    """C >= 2."""
    embedding_dim: int
    """D >= 1."""
    epoch_images: int
    """Images of one pass over the training set; losses that wait an epoch count up to it."""
    batch_size: int = 1
    """Images a step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What a loss is built from: every option has a value in range."""

    scale: float
    options: Mapping[str, Value]
    theta: tuple[float, ...] = ()
    """The candidate of a searched loss."""
    space: str = ""
    """What theta's numbers are."""
    size: HeadSize | None = None

    def number(self, name: str) -> float:
        """Value of a Number."""
        return float(self.options[name])

    def whole(self, name: str) -> int:
        """Value of a Number that is whole."""
        return int(self.options[name])

    def text(self, name: str) -> str:
        """Value of a Choice."""
        return str(self.options[name])

    def flag(self, name: str) -> bool:
        """Value of a Switch."""
        return bool(self.options[name])

    def sized(self) -> HeadSize:
        """The sizes; `build_loss` has seen to it that they are there where a spec is `sized`."""
        assert self.size is not None
        return self.size


@dataclass(frozen=True, kw_only=True, slots=True)
class LossSpec:
    """One entry of the catalogue."""

    loss: type[ClassifierLoss]
    """Its docstring is the loss's page: formula, source, how others differ."""
    make: Callable[[Given], ClassifierLoss]
    """Builds it; may raise ConfigError where options don't fit each other."""
    scale: float | None
    """s where none is given: what its authors and users compare with; None: see scale_of."""
    scale_of: Callable[[Mapping[str, Value], HeadSize | None], float] | None = None
    """The same from options and sizes, where it depends on them; may raise ConfigError."""
    options: Mapping[str, Option] = field(default_factory=dict)
    neutral: Mapping[str, Value] | None = None
    """Options under which it equals NormFace of the same scale; None: there are none."""
    neutral_theta: tuple[float, ...] = ()
    """Theta (of spaces[0]) under which a searched loss equals NormFace, with `neutral`."""
    theta_size: Callable[[str, Mapping[str, Value]], int] | None = None
    """How many numbers theta has in a space under options; None: as many as neutral_theta."""
    spaces: tuple[str, ...] = ()
    """Spaces that theta may come from; empty: the loss isn't searched."""
    sized: bool = False
    """Whether it needs a HeadSize."""
    focal: bool = True
    """Whether a focal factor makes sense: the loss is at least 0."""
    exact_gradient: bool = True
    """Whether its gradient is the derivative of its value under default options."""
    margin_in_cosine: bool = False
    """Whether its option `margin` is the equivalent margin of tables, in cosine units."""

    def num_theta(self, space: str, options: Mapping[str, Value]) -> int:
        """How many numbers theta has in `space` under `options`; 0 where it isn't searched."""
        if self.theta_size is None:
            return len(self.neutral_theta)
        return self.theta_size(space, options)
