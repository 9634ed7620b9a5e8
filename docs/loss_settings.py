"""What the pictures of docs/losses.md show beside a loss's defaults, by name.

A loss that isn't listed is drawn as it is under its defaults, a searched one at its neutral theta.
"""

from __future__ import annotations

from loss_curves import NUM_CLASSES, Line, Picture

from lfs_ray.losses.catalogue import LOSSES

_LENGTHS = "embeddings of length 20, centres of length 1"
_ANNEALED = (
    Line(label="first batch, lambda 893"),
    Line(label="lambda at its floor, 5", state={"annealing.step": 1e9}),
    Line(label="lambda_floor = 0, at last", options={"lambda_floor": 0.0, "schedule": "constant"}),
)
_RULES = tuple(
    Line(label=f"rule {rule}", options={"rule": rule})
    for rule in ("plain", "fallback", "easy", "keep")
)
_HARD = "the other cosines are hard, all of them, up to where the loss jumps"
_FALLING_MARGINS = tuple(0.09 - 0.01 * k for k in range(10))
_T_SLOPES, _TAU_SLOPES = (0.6, 0.7, 0.9, 1.0, 1.1, 1.2), (0.4, 0.6, 0.9, 1.1, 1.4, 1.6)

PICTURES: dict[str, Picture] = {
    "softmax": Picture(inner_products=True, note=f"{_LENGTHS}, no biases"),
    "l2_softmax": Picture(note="centres of length 1, biases 0 as at the start"),
    "v_softmax": Picture(
        inner_products=True, note=f"{_LENGTHS}; the virtual class is in the loss alone"
    ),
    "l_softmax": Picture(lines=_ANNEALED, inner_products=True, note=_LENGTHS),
    "a_softmax": Picture(lines=_ANNEALED, inner_products=True, note=_LENGTHS),
    "sphereface_r": Picture(
        lines=(
            Line(label="multiple = 1.4", options={"multiple": 1.4}),
            Line(label="multiple = 1.7"),
        )
    ),
    "am_softmax": Picture(
        lines=tuple(
            Line(label=f"rule {rule}", options={"rule": rule})
            for rule in ("plain", "easy", "easy-m")
        )
    ),
    "arcface": Picture(lines=_RULES),
    "combined": Picture(
        lines=(
            Line(label="m1, m2, m3 = 1, 0.3, 0.2"),
            Line(label="m1, m2, m3 = 0.9, 0.4, 0.15", options={"m1": 0.9, "m2": 0.4, "m3": 0.15}),
        )
    ),
    "sub_center_arcface": Picture(
        note="angles and cosines are those of each class's nearest centre"
    ),
    "adacos": Picture(
        note=f"the scale it starts from at {NUM_CLASSES} classes; p goes no further because the "
        "cosine ends at 1"
    ),
    "adam_softmax": Picture(
        lines=(Line(state={"margins_C": 0.35}),), note="a class whose margin is 0.35"
    ),
    "elastic_arc": Picture(drawn=True, note="each dot is one draw of the margin"),
    "elastic_cos": Picture(drawn=True, note="each dot is one draw of the margin"),
    "magface": Picture(
        lines=tuple(
            Line(label=f"length {length:g}", length=length) for length in (10.0, 60.0, 110.0)
        )
    ),
    "adaface": Picture(
        lines=tuple(
            Line(label=f"length {length:g}", length=length, state={"mean": 20.0, "std": 5.0})
            for length in (10.0, 20.0, 30.0)
        ),
        note="lengths seen so far have mean 20 and standard deviation 5",
    ),
    "mv_am": Picture(
        lines=(
            Line(label="hard adaptive", options={"hard": "adaptive"}),
            Line(label="hard fixed", options={"hard": "fixed"}),
        ),
        note=_HARD,
    ),
    "mv_arc": Picture(
        lines=(
            Line(label="hard adaptive", options={"hard": "adaptive"}),
            Line(label="hard fixed", options={"hard": "fixed"}),
        ),
        note=_HARD,
    ),
    "curricularface": Picture(
        lines=tuple(
            Line(label=f"t = {progress:g}", state={"progress": progress})
            for progress in (0.0, 0.3, 0.6)
        ),
        note=_HARD,
    ),
    "npcface": Picture(note=_HARD),
    "uniface": Picture(
        lines=(Line(label="clamp off"), Line(label="clamp on", options={"clamp": True})),
        other=0.0,
        note="b at its start, ln 1000, taken off the target logit",
    ),
    "unitsface": Picture(note="the first term, which is all there is in the first epoch"),
    "sphereface2": Picture(other=0.0, note="b at its start, added to the target logit"),
    "global": Picture(
        lines=tuple(Line(label=f"margin {margin:g}", theta=(margin,)) for margin in (0.1, 0.35)),
        note="theta in space margin",
    ),
    "local": Picture(
        lines=(Line(theta=_FALLING_MARGINS),),
        axis="p",
        from_loss=True,
        note="theta in space margin, from 0.09 in the bin of the least p down to 0 in the last; "
        "the target logit is computed back from the loss",
    ),
    "am_lfs": Picture(
        lines=(
            Line(label="t alone", theta=(*_T_SLOPES, *(1.0,) * 6), space="piecewise-continuous"),
            Line(
                label="tau alone", theta=(*(1.0,) * 6, *_TAU_SLOPES), space="piecewise-continuous"
            ),
        ),
        axis="p",
        note="theta in space piecewise-continuous, slopes of t "
        f"{', '.join(map(str, _T_SLOPES))}, of tau {', '.join(map(str, _TAU_SLOPES))}",
    ),
    "random_margin": Picture(
        lines=(Line(theta=(0.35, 0.05)),),
        drawn=True,
        note="theta (0.35, 0.05); each dot is one draw of the margin",
    ),
    "taylor": Picture(
        lines=(Line(theta=(0.5, 0.0, -0.6931471805599453, 0.0, 0.0, 2.0, 0.0, -4.0)),),
        axis="p",
        times=float(NUM_CLASSES),
        note="theta is cross-entropy's expansion at p = 0.5; the loss is shown times C",
    ),
}


def picture_of(name: str) -> Picture:
    """What is drawn of the loss."""
    return PICTURES.get(name, Picture(lines=(Line(theta=LOSSES[name].neutral_theta),)))
