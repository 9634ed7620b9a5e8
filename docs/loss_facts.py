"""What docs/losses.md says of a loss, read from its docstring, its spec and the loss as built."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from loss_curves import SIZE

from lfs_ray.losses.catalogue import build_loss
from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.losses.options import Choice, Switch, Value
from lfs_ray.losses.spec import LossSpec

NEEDS = {
    "norms": "embedding lengths",
    "weight_norms": "centre lengths",
    "embeddings": "embeddings",
}
"""What a loss looks at beside cosines, as the table calls it."""
_SECTIONS = ("Formula:", "Others differ:")


@dataclass(frozen=True, kw_only=True, slots=True)
class Docs:
    """A loss's docstring in its parts."""

    summary: str
    prose: tuple[str, ...]
    """Paragraphs, each on one line."""
    formula: str
    """Lines as they stand."""
    others_differ: str
    """On one line."""

    @property
    def source(self) -> str:
        """What stands in the summary's last parentheses: paper and equation."""
        found = re.findall(r"\(([^()]*)\)", self.summary)
        return found[-1] if found else ""


def docs_of(spec: LossSpec) -> Docs:
    """The parts of the docstring of the loss's class."""
    first, *blocks = (inspect.getdoc(spec.loss) or "").split("\n\n")
    sections = dict.fromkeys(_SECTIONS, "")
    prose = []
    for block in blocks:
        title, _, body = block.partition("\n")
        if title in sections:
            sections[title] = textwrap.dedent(body)
        else:
            prose.append(_on_one_line(block))
    formula, differ = (sections[name] for name in _SECTIONS)
    return Docs(
        summary=_on_one_line(first),
        prose=tuple(prose),
        formula=formula,
        others_differ=_on_one_line(differ),
    )


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def text_of(value: Value) -> str:
    """A value as the configuration writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def settings_of(spec: LossSpec) -> Iterator[tuple[str, dict[str, Value]]]:
    """The defaults, as "", then each switch and choice set otherwise, alone, as "name = value"."""
    yield "", {}
    for name, option in spec.options.items():
        others: tuple[Value, ...] = ()
        if isinstance(option, Switch):
            others = (not option.default,)
        elif isinstance(option, Choice):
            others = tuple(value for value in option.names if value != option.default)
        for value in others:
            yield f"{name} = {text_of(value)}", {name: value}


def fact(name: str, spec: LossSpec, told: Callable[[ClassifierLoss], str]) -> str:
    """What `told` says of the loss as it is, then where a switch or choice changes it."""
    found = {setting: told(_built(name, spec, options)) for setting, options in settings_of(spec)}
    usual = found.pop("")
    changes = [f"{text} with {setting}" for setting, text in found.items() if text != usual]
    told_of = "; ".join([usual, *changes])
    return re.sub(r"(^|; )-(?=;| )", r"\1none", told_of) if changes else told_of


def _built(name: str, spec: LossSpec, options: Mapping[str, Any]) -> ClassifierLoss:
    numbers = (
        spec.num_theta(spec.spaces[0], {**defaults_of(spec), **options}) if spec.spaces else 0
    )
    theta = spec.neutral_theta if len(spec.neutral_theta) == numbers else (0.0,) * numbers
    with torch.random.fork_rng(devices=[]):
        return build_loss(name, theta=theta, size=SIZE, **options)


def defaults_of(spec: LossSpec) -> dict[str, Value]:
    """Every option's default."""
    return {name: option.default for name, option in spec.options.items()}


def scale_of(spec: LossSpec) -> str:
    """The scale where none is given."""
    if spec.scale is not None:
        return text_of(spec.scale)
    assert spec.scale_of is not None
    scales = {
        setting: f"{spec.scale_of(defaults_of(spec) | options, SIZE):.3g}"
        for setting, options in settings_of(spec)
    }
    usual = scales.pop("")
    if spec.sized:
        usual += f" at {SIZE.num_classes} classes"
        scales = {}
    changes = [f"{text} with {setting}" for setting, text in scales.items() if text != usual]
    return "; ".join([usual, *changes])


def needs_of(loss: ClassifierLoss) -> str:
    """What it looks at beside cosines and labels."""
    needs = [NEEDS.get(name, name) for name in sorted(loss.needs)]
    if loss.sub_centers > 1:
        needs.append(f"{loss.sub_centers} centres a class")
    return ", ".join(needs) or "-"


def state_of(loss: ClassifierLoss) -> str:
    """What of it is in checkpoints."""
    learned = [name for name, _ in loss.named_parameters()]
    kept = [name for name in loss.state_dict() if name not in learned]
    return ", ".join([f"learned `{n}`" for n in learned] + [f"`{n}`" for n in kept]) or "-"


def chunked_of(loss: ClassifierLoss) -> str:
    """Whether it works where classes lie in several pieces."""
    return "yes" if loss.shardable else "no"


def normface_at(name: str, spec: LossSpec) -> str:
    """Options and theta under which the loss is NormFace."""
    if spec.neutral is None:
        return "-"
    parts = [f"{key} = {text_of(value)}" for key, value in spec.neutral.items()]
    if spec.neutral_theta:
        runs = [(x, len(list(same))) for x, same in groupby(spec.neutral_theta)]
        numbers = ", ".join(
            f"{n} times {x:g}" if n > 2 else ", ".join([f"{x:g}"] * n) for x, n in runs
        )
        parts.append(f"theta = {numbers}")
    return ", ".join(parts) or ("itself" if name == "normface" else "its defaults")
