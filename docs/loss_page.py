"""The text of docs/losses.md: a table of all losses, how to choose one, then each in turn."""

from __future__ import annotations

from collections.abc import Iterable

from loss_curves import NUM_CLASSES, SEED, built
from loss_facts import (
    chunked_of,
    docs_of,
    fact,
    needs_of,
    normface_at,
    scale_of,
    state_of,
    text_of,
)
from loss_settings import picture_of

from lfs_ray.losses.catalogue import LOSSES
from lfs_ray.losses.contract import ClassifierLoss
from lfs_ray.losses.spec import LossSpec

OWN_KEYS = ("margin", "rule", "grad")
"""Options that have a key of their own in the configuration."""

INTRODUCTION = f"""\
<!-- Written by docs/make_losses.py from the docstrings; change those, then run it. -->

# Losses

{len(LOSSES)} losses, each by the name that `loss.name` takes. In the table, *s* is the scale where
none is given; *needs* is what a loss looks at beside cosines and labels; *state* is what of it is
in checkpoints and goes on with the parent's weights, parameters that are learned marked so;
*family* is the file that holds it; *NormFace at* are the settings under which it equals NormFace
of the same scale; *chunked* says whether it works with `model.classifier = "chunked"`, which holds
the logits of one part of the classes at a time. Where a setting changes an entry, it stands beside
it.
"""

CHOOSING = """\
## How to choose

In a configuration, for a loss that isn't searched:

```toml
[search]
policy = "fixed"
members = 1

[loss]
name = "npcface"
scale = 32.0
margin = 0.35
focal_gamma = 2.0
options = ["base_margin=0.3", "hard_slope=1.2"]
```

On the command line:

```bash
lfs-ray train experiments/smoke.toml --search.policy fixed --search.members 1 \\
    --loss.name arcface --loss.scale 32 --loss.margin 0.4 --loss.rule keep --loss.grad detached
lfs-ray train experiments/smoke.toml --search.policy fixed --search.members 1 \\
    --loss.name magface --loss.options margin_low=0.3 penalty=20
```

* `scale`: s, from 1 to 1000; left out, the loss's own.
* `margin`, `rule` and `grad` are options that have a key of their own.
* `options`: all other options, as texts `name=value`.
* `focal_gamma`: multiplies each sample's loss by `(1 - p)^gamma` with `p = exp(-loss)`
  (Lin et al. 2017, eq. 4), from 0, which is none, to 10. A loss that may be negative by its form
  takes none.
* A name, option or value that doesn't exist is refused with the nearest ones, before training.

A loss with search spaces gets its theta from the policy; `search.space` says what its numbers are.
"""

READING = f"""\
## How to read formulas and pictures

z_j are the logits, c_j the cosines, y is the target's class and theta_y its angle; the loss is the
cross-entropy of the logits unless the formula says otherwise. x is the embedding, W_j the centre
of class j.

Pictures come from calling the loss with {NUM_CLASSES} classes. The target's cosine is swept, all
others share one value, 0.2 unless the caption says otherwise. Left: the target logit divided by s,
beside cos theta; for a loss of inner products s counts with the lengths. Right: the loss of one
sample, without focal factor, over the plain softmax probability p of the target, that of s times
the cosines, beside -ln p. The axis of p has equal steps of ln(p / (1 - p)), or of p where the
caption says so. Options and state that aren't mentioned are the defaults and those of a new loss.
Random draws have seed {SEED}.
"""


def page() -> str:
    """The whole page."""
    entries = [_entry(name, spec) for name, spec in LOSSES.items()]
    return "\n".join([INTRODUCTION, _overview(), CHOOSING, READING, *entries])


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(titles)
    lines = [titles, ["---"] * len(titles), *rows]
    escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def _overview() -> str:
    titles = ("loss", "source", "s", "needs", "state", "family", "NormFace at", "chunked")
    return _table(titles, (_row(name, spec) for name, spec in LOSSES.items()))


def _row(name: str, spec: LossSpec) -> list[str]:
    module = spec.loss.__module__.rsplit(".", 1)[-1]
    family = f"[{module.replace('_', ' ')}](../lfs_ray/losses/{module}.py)"
    return [
        f"[{name}](#{name})",
        docs_of(spec).source or "-",
        scale_of(spec),
        fact(name, spec, needs_of),
        fact(name, spec, state_of),
        family + (", searched" if spec.spaces else ""),
        normface_at(name, spec),
        fact(name, spec, chunked_of),
    ]


def _entry(name: str, spec: LossSpec) -> str:
    docs = docs_of(spec)
    parts = [
        f"## {name}",
        docs.summary,
        f"![Target logit and loss of {name}](losses/{name}.svg)",
        f"*{_caption(name, spec)}*",
        f"```text\n{docs.formula}\n```",
        *docs.prose,
        *_remarks(spec),
        _options(spec),
        f"How others differ: {docs.others_differ}" if docs.others_differ else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _caption(name: str, spec: LossSpec) -> str:
    picture = picture_of(name)
    loss = built(name, picture.lines[0])
    said = [f"s = {loss.scale:.4g}"]
    if picture.other != 0.2:
        said.append(f"other cosines {picture.other:g}")
    if picture.axis == "p":
        said.append("equal steps of p")
    if picture.note:
        said.append(picture.note)
    if type(loss).penalty is not ClassifierLoss.penalty and name != "unitsface":
        said.append("the penalty is left out")
    return "; ".join(said) + "."


def _remarks(spec: LossSpec) -> list[str]:
    said = []
    if not spec.exact_gradient:
        said.append("Under its defaults the gradient is not the derivative of the value.")
    if not spec.focal:
        said.append("It takes no `focal_gamma`.")
    if spec.spaces:
        spaces = ", ".join(f"`{space}`" for space in spec.spaces)
        said.append(f"Search spaces, the first by default: {spaces}.")
    return said


def _options(spec: LossSpec) -> str:
    if not spec.options:
        return "It has no options."
    rows = [
        [
            f"`{name}`",
            f"`{text_of(option.default)}`",
            option.allowed,
            option.doc,
            f"`loss.{name}`" if name in OWN_KEYS else "`loss.options`",
        ]
        for name, option in spec.options.items()
    ]
    return _table(("option", "default", "allowed", "what it is", "key"), rows).rstrip()
