"""What a population or method takes over from `search` and `loss` where it says nothing.

Of `search` every key. Of `loss` every key too while it is the same loss; under another name only
the scale, since a margin, a rule or an option of one loss means nothing, or something else, to
another.
"""

from __future__ import annotations

from dataclasses import replace

from lfs_ray.config.sections import LossConfig, MethodConfig, PopulationConfig, SearchConfig

USUAL_MEMBERS = {"am_lfs": 32}
"""Members a round of losses whose paper has another number than SearchConfig's default."""


def with_usual_members(search: SearchConfig, loss_name: str) -> SearchConfig:
    """The section with the members that are usual for the loss, for a file that names none."""
    return replace(search, members=USUAL_MEMBERS.get(loss_name, SearchConfig().members))


def base_of(search: SearchConfig, loss: LossConfig, loss_name: str) -> PopulationConfig:
    """What a population whose loss is called `loss_name` starts from."""
    return PopulationConfig(search=search, loss=_loss_base(loss, loss_name))


def base_of_method(search: SearchConfig, loss: LossConfig, loss_name: str) -> MethodConfig:
    """What a method whose loss is called `loss_name` starts from."""
    return MethodConfig(search=search, loss=_loss_base(loss, loss_name))


def _loss_base(loss: LossConfig, loss_name: str) -> LossConfig:
    same = loss_name == loss.name
    return loss if same else LossConfig(name=loss.name, scale=loss.scale)
