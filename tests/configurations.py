"""Hypothesis strategies of configurations: well-formed, not necessarily usable."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import Any, Literal, get_args, get_origin

from hypothesis import strategies as st

from lfs_ray.config.keys import fields_of, named_entry
from lfs_ray.config.sections import Config, PopulationConfig
from lfs_ray.config.values import optional_of

NAMES = st.text("abcxyz019_", min_size=1, max_size=6)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    str: TEXTS,
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    inner, may_be_none = optional_of(kind)
    if may_be_none:
        # The text "none" means none there.
        return st.none() | values_of(inner).filter(lambda value: str(value).lower() != "none")
    if get_origin(inner) is tuple:
        return st.lists(values_of(get_args(inner)[0]), max_size=3).map(tuple)
    if get_origin(inner) is Literal:
        return st.sampled_from(get_args(inner))
    if named_entry(inner) is not None:
        return st.dictionaries(NAMES, sections(named_entry(inner)), max_size=3)
    return sections(inner) if is_dataclass(inner) else SCALARS[inner]


def sections(cls: type) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{name: values_of(kind) for name, kind in fields_of(cls).items()})


def _sharing(config: Config, shared: list[bool]) -> Config:
    """Let some populations share a section with the run, so that they inherit it."""
    populations = {}
    for name, population in config.populations.items():
        search = config.search if shared[0] else population.search
        loss = config.loss if shared[1] else population.loss
        populations[name] = PopulationConfig(search=search, loss=loss)
    return replace(config, populations=populations)


configurations: st.SearchStrategy[Config] = st.builds(
    _sharing, sections(Config), st.lists(st.booleans(), min_size=2, max_size=2)
)
