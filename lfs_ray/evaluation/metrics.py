"""Rewards by name: a text such as `tar@far=1e-3` to a measure of a scored set.

After `evidence`; the configuration's reward, the evaluate command and reports speak these names.
A metric is a name, with options after `@`, or a weighted sum of several:

    accuracy                            10-fold accuracy, rule insightface
    tar@far=1e-3,rule=nearest           options by name, commas between them
    0.7*accuracy + 0.3*tar@far=1e-3     weights are positive and needn't sum to one

Larger is better for all of them; where the literature has an error, its complement is offered
(`1-eer`). An image is never its own mate, same-camera mates are removed where cameras are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from lfs_ray.evaluation import image_metrics, pair_metrics
from lfs_ray.evaluation.bootstrap import joint_standard_error
from lfs_ray.evaluation.evidence import Evidence, Measured
from lfs_ray.evaluation.metric_names import (
    Value,
    WrittenTerm,
    read_number,
    read_terms,
    write_term,
    write_weight,
)
from lfs_ray.evaluation.roc import TAR_RULES
from lfs_ray.evaluation.rules import RULES

__all__ = [
    "METRICS",
    "Evidence",
    "Measured",
    "Metric",
    "known_metrics",
    "parse_metric",
    "standard_error",
]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A family of metrics: what it needs, how it is measured, its options with defaults."""

    needs: str
    measure: Callable[..., Measured]
    options: Mapping[str, Value | None]
    """Default of each option; None: must be given."""


@dataclass(frozen=True, slots=True)
class _Term:
    """One weighted metric of a sum."""

    weight: float
    name: str
    kind: _Kind
    options: tuple[tuple[str, Value], ...]

    def measure(self, evidence: Evidence) -> Measured:
        evidence.require(self.kind.needs, self.name)
        measured = self.kind.measure(self.name, evidence, **dict(self.options))
        weighted = [
            replace(given, weight=self.weight * given.weight) for given in measured.contributions
        ]
        return replace(measured, value=self.weight * measured.value, contributions=tuple(weighted))


@dataclass(frozen=True, slots=True)
class Metric:
    """A reward, or a number of a report: one metric or a weighted sum."""

    name: str
    """Canonical text: every option and rule written out; `parse_metric` reads it back."""
    terms: tuple[_Term, ...]

    @property
    def needs(self) -> frozenset[str]:
        """Kinds of evidence it is measured on: names in `evidence.NEEDS`."""
        return frozenset(term.kind.needs for term in self.terms)

    def measure(self, evidence: Evidence) -> Measured:
        """Value of a scored set, larger is better.

        Raises:
            DataError: the set has not what the metric needs, or cannot be measured by it.
        """
        measured = [term.measure(evidence) for term in self.terms]
        return Measured(
            value=math.fsum(part.value for part in measured),
            contributions=tuple(given for part in measured for given in part.contributions),
            parts=tuple(named for part in measured for named in part.parts),
            notes=tuple(dict.fromkeys(note for part in measured for note in part.notes)),
        )


def standard_error(measured: Measured, *, samples: int = 200, seed: int) -> float:
    """Standard error of a measured value: one joint resampling of the people of all its parts.

    Thresholds are not chosen anew and galleries not resampled: their share is left out.

    Raises:
        DataError: fewer than two identities.
    """
    return joint_standard_error(measured.contributions, samples=samples, seed=seed)


def parse_metric(text: str) -> Metric:
    """Read a metric's name.

    Raises:
        ValueError: one line that says which part is not understood, and what there is.

    >>> parse_metric("tar@far=1e-3").name
    'tar@far=0.001,rule=at_most'
    >>> parse_metric("0.7*accuracy + 0.3 * rank1").name
    '0.7*accuracy@rule=insightface + 0.3*rank1'
    """
    terms = tuple(_term(written, text) for written in read_terms(text))
    if len(terms) == 1 and terms[0].weight == 1:
        return Metric(terms[0].name, terms)
    return Metric(" + ".join(f"{write_weight(term.weight)}*{term.name}" for term in terms), terms)


def known_metrics() -> tuple[str, ...]:
    """Names with their options, as written in messages and help."""
    return tuple(_shown(name, kind) for name, kind in METRICS.items())


METRICS: dict[str, _Kind] = {
    "accuracy": _Kind("pairs", pair_metrics.accuracy, {"rule": "insightface"}),
    "val": _Kind("pairs", pair_metrics.val, {"far": None, "rule": "adjacent"}),
    "tar": _Kind("pairs", pair_metrics.tar, {"far": None, "rule": "at_most"}),
    "1-eer": _Kind("pairs", pair_metrics.one_minus_eer, {}),
    "auc": _Kind("pairs", pair_metrics.auc, {}),
    "rank": _Kind("labelled images", image_metrics.rank, {"k": None}),
    "map": _Kind("labelled images", image_metrics.mean_ap, {}),
    "minp": _Kind("labelled images", image_metrics.mean_inp, {}),
    "precision@1": _Kind("labelled images", image_metrics.precision_at_1, {}),
    "r_precision": _Kind("labelled images", image_metrics.r_precision, {}),
    "map@r": _Kind("labelled images", image_metrics.map_at_r, {}),
    "map@k": _Kind("labelled images", image_metrics.map_at_k, {"k": None}),
    "tpr": _Kind("labelled images", image_metrics.tpr, {"fpr": None, "rule": "at_most"}),
    "tpir": _Kind("labelled images", image_metrics.tpir, {"fpir": None, "rule": "ijb_1n"}),
    "megaface": _Kind("labelled images", image_metrics.megaface, {"rank": 1}),
    "top": _Kind("class ranks", image_metrics.top, {"k": None}),
}
"""Metrics by name; `rank` and `top` are written with their number, `map@k` as `map@k=10`."""

_RULES = {
    "accuracy": tuple(RULES),
    "val": ("adjacent",),
    "tar": tuple(TAR_RULES),
    "tpr": ("at_most",),
    "tpir": ("ijb_1n",),
}
"""Rules of the metrics whose names carry one."""


def _term(written: WrittenTerm, text: str) -> _Term:
    family = written.family
    if family not in METRICS:
        hint = "; larger is better, so the EER is written 1-eer" if family == "eer" else ""
        raise ValueError(
            f"a metric must be one of {', '.join(known_metrics())}, or a weighted sum such as "
            f"0.7*accuracy + 0.3*tar@far=1e-3; found {written.name!r}{hint}"
        )
    values = _values(family, written.options, text)
    name = write_term(family, values)
    return _Term(written.weight, name, METRICS[family], tuple(values.items()))


def _values(family: str, options: Mapping[str, str], text: str) -> dict[str, Value]:
    """Options with their defaults, read and checked, in the order of the family."""
    known = METRICS[family].options
    for key in options:
        if key not in known:
            offered = f"knows {', '.join(known)}" if known else "has no options"
            raise ValueError(f"metric {family} {offered}, found {key!r} in {text!r}")
    values: dict[str, Value] = {}
    for key, default in known.items():
        if key in options:
            values[key] = _value(family, key, options[key], text)
        elif default is not None:
            values[key] = default
        else:
            shown = _shown(family, METRICS[family])
            raise ValueError(f"metric {family} needs its {key}, as in {shown}; found {text!r}")
    return values


def _value(family: str, key: str, written: str, text: str) -> Value:
    if key == "rule":
        if written not in _RULES[family]:
            raise ValueError(
                f"the rule of {family} must be one of {', '.join(_RULES[family])}, found "
                f"{written!r} in {text!r}"
            )
        return RULES[written].name if family == "accuracy" else written
    if key in ("k", "rank"):
        if not written.isdecimal() or int(written) < 1:
            raise ValueError(f"{key} must be a whole number from 1, found {written!r} in {text!r}")
        return int(written)
    rate = read_number(key, written, text)
    if not 0 < rate < 1:
        raise ValueError(f"{key} must be between 0 and 1, found {written} in {text!r}")
    return rate


def _shown(family: str, kind: _Kind) -> str:
    examples: dict[str, Value] = {
        "far": "1e-3",
        "fpr": "1e-4",
        "fpir": "1e-2",
        "k": 1 if family != "map@k" else 10,
    }
    values = {
        key: examples[key] if default is None else default for key, default in kind.options.items()
    }
    return write_term(family, values)
