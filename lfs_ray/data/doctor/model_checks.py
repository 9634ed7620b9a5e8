"""What a model's embeddings say of labels and colours.

Data flow: unit embeddings of the images, made by the driver -> here -> findings. The model decides
as far as it is good: findings about labels are notices, for a human to look at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfs_ray.data.class_centres import (
    FloatArray,
    Labels,
    class_centres,
    half_labels,
    near_centres,
    place_images,
    same_person_cosine,
)
from lfs_ray.data.doctor.finding import Finding, found, named
from lfs_ray.data.doctor.specimen import Specimen

MISLABEL_LEAD = 0.1
"""An image is a likely mislabel when another class's centre is nearer than its own by so much
cosine, at least: without a lead, poor images between two look-alikes would be told, too."""
MISLABEL_SPREADS = 2.5
"""And by so many standard deviations (1.4826 median deviations) more than the median image: a weak
model places many images nearer to others. With one that places 65 % of 1,248 faces of unseen
people right, 46 of 62 planted mislabels were among the 61 images told; with the lead alone, 60
were among 248."""
SWAP_LEAD = 0.02
"""The channels are swapped when so much larger a share of the images lies nearest to its own class
after swapping them. A model trained without any change of colour loses far more than this share;
one trained with grey or changed colours hardly tells, and nothing is found."""


def check_embeddings(
    specimen: Specimen, places: NDArray[np.int64], unit_ND: FloatArray
) -> list[Finding]:
    """Likely mislabels, and classes that look like one person.

    Args:
        specimen: The set.
        places: Place of each embedded image, (N,).
        unit_ND: Its unit embedding.
    """
    labels = specimen.labels[places]
    chosen = labels >= 0
    places, unit_ND, labels = places[chosen], unit_ND[chosen], labels[chosen]
    centres = class_centres(unit_ND, labels)
    if len(centres.labels) < 2:
        return []
    placed = place_images(unit_ND, labels, centres)
    lead = placed.other - placed.own
    wrong = np.flatnonzero(lead > _least_lead(lead))
    wrong = wrong[np.argsort(-lead[wrong], kind="stable")]

    def image(row: int) -> str:
        other = specimen.class_name(int(placed.other_label[row]))
        key = specimen.keys[int(places[row])]
        return f"{key}: own {placed.own[row]:.2f}, {other} {placed.other[row]:.2f}"

    same = same_person_cosine(class_centres(unit_ND, half_labels(labels)))
    alike = near_centres(centres.unit_CD, centres.unit_CD, same, once=True)

    def classes(row: int) -> str:
        one, other, cosine = alike[row]
        names = [specimen.class_name(int(centres.labels[place])) for place in (one, other)]
        return f"{names[0]} = {names[1]}: {cosine:.2f}"

    return [
        *found("likely-mislabels", len(wrong), named(wrong, image)),
        *found(
            "alike-classes",
            len(alike),
            named(range(len(alike)), classes),
            f"cosine of centres {same:.2f} or more, the median between the halves of one class",
        ),
    ]


def _least_lead(lead: FloatArray) -> float:
    known = lead[~np.isnan(lead)]
    if not len(known):
        return np.inf
    middle = float(np.median(known))
    spread = 1.4826 * float(np.median(np.abs(known - middle)))
    return max(MISLABEL_LEAD, middle + MISLABEL_SPREADS * spread)


def right_share(unit_ND: FloatArray, labels: Labels) -> float:
    """Share of images that lie nearest to the centre of their own class, made without them."""
    centres = class_centres(unit_ND, labels)
    placed = place_images(unit_ND, labels, centres)
    judged = ~np.isnan(placed.own)
    return float((placed.own > placed.other)[judged].mean()) if judged.any() else 0.0


def check_swap(as_is_ND: FloatArray, swapped_ND: FloatArray, labels: Labels) -> list[Finding]:
    """Compare embeddings of the same images with the channels as they are, and swapped.

    Args:
        as_is_ND: Unit embeddings with the model's own colour order.
        swapped_ND: The same with red and blue exchanged.
        labels: Class of each image, (N,), 0 or more.
    """
    if len(np.unique(labels)) < 2:
        return []
    shares = right_share(as_is_ND, labels), right_share(swapped_ND, labels)
    text = f"{shares[0]:.1%} lie nearest to their own class as they are, {shares[1]:.1%} swapped"
    wrong = shares[1] > shares[0] + SWAP_LEAD
    return found("swapped-colours-by-model", len(labels) if wrong else 0, (), text)
