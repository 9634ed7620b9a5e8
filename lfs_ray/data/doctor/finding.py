"""What the doctor can find, by name: how bad it is, what it means, what to do.

Data flow: the checks of this package -> `Finding` -> table, page and CSV file of `data doctor`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple

Severity = Literal["fault", "notice"]
SHOWN_EXAMPLES = 10


class Kind(NamedTuple):
    """One row of the table of findings."""

    severity: Severity
    """A fault makes a set unhealthy; a notice is for a human to judge."""
    meaning: str
    """What was found, after the count: "3 images that ..."."""
    advice: str
    """What to do."""


FINDINGS: dict[str, Kind] = {
    # Labels and classes
    "unreadable-lines": Kind(
        "fault", "lines that are not `key label`", "correct the lines: image, blank, whole number"
    ),
    "fractional-labels": Kind(
        "fault", "labels that are no whole numbers", "write the class number as an integer"
    ),
    "negative-labels": Kind("fault", "labels below 0", "number the classes 0 to C-1"),
    "unusable-labels": Kind(
        "fault",
        "images without a label, or with one that is infinite or 2**31 or more",
        "give each image the number of its class",
    ),
    "label-gaps": Kind(
        "fault",
        "labels below the largest that no image has: dead classes",
        "renumber the classes 0 to C-1; `lfs-ray data overlap` writes such a list",
    ),
    "empty-classes": Kind(
        "fault", "classes without an image", "remove their folders or names, or add images"
    ),
    "single-image-classes": Kind(
        "notice", "classes of a single image", "nothing within them to pull together: drop them?"
    ),
    "long-tail": Kind(
        "notice",
        "classes, a tenth or fewer, hold half of all images",
        "expect the rare ones to be learned badly: draw images class by class, or cap the largest",
    ),
    "duplicate-keys": Kind("fault", "keys listed more than once", "list every image once"),
    # Images
    "missing-images": Kind(
        "fault", "listed images that are not there", "copy them, or take them off the list"
    ),
    "unlisted-images": Kind(
        "notice", "stored images that the list does not name", "they are never read: is it so?"
    ),
    "undecodable-images": Kind(
        "fault", "images that cannot be decoded", "replace them, or take them off the list"
    ),
    "odd-sizes": Kind(
        "fault",
        "images of another size than the rest",
        "crop and align them as the others, or take them off the list",
    ),
    "mixed-sizes": Kind(
        "notice",
        "different sizes, none of them usual",
        "training takes the middle square and resizes it: align the faces first",
    ),
    "grey-images": Kind(
        "notice", "grey images", "fine when few; else a model learns colour from some only"
    ),
    "blank-images": Kind(
        "fault", "images without contrast", "placeholders of failed downloads? take them out"
    ),
    "odd-encodings": Kind(
        "notice",
        "images with four inks, 16 bits, transparency or several frames",
        "they are read, as 8-bit RGB of the first frame; store them so",
    ),
    "duplicates-within": Kind(
        "notice", "images that repeat another of their class, pixel by pixel", "keep one of each"
    ),
    "duplicates-across": Kind(
        "fault",
        "images that repeat one of another class, pixel by pixel",
        "at least one label is wrong, or two classes are one person: remove or merge",
    ),
    "near-duplicates-within": Kind(
        "notice",
        "images that look like another of their class",
        "the same photo saved twice, or one burst: keep one of each",
    ),
    "near-duplicates-across": Kind(
        "notice",
        "images that look like one of another class",
        "look at them: the same photo under two labels",
    ),
    # Sets against each other
    "duplicates-between-sets": Kind(
        "fault",
        "images that are in the other set, too, pixel by pixel",
        "remove them from the training set: `lfs-ray data overlap --by pixels`",
    ),
    "near-duplicates-between-sets": Kind(
        "fault",
        "images that look like one of the other set",
        "remove them from the training set: `lfs-ray data overlap --by hash`",
    ),
    "shared-identities": Kind(
        "fault",
        "identities whose names are in the other set, too",
        "remove them from the training set: `lfs-ray data overlap --by names`",
    ),
    "crops-differ": Kind(
        "fault",
        "sets whose faces lie elsewhere than in this one",
        "align both to the same points, in the same way",
    ),
    # Appearance
    "swapped-colours": Kind(
        "fault",
        "images, in colour, bluer than red in the middle: red and blue are swapped",
        "swap the channels back (of an LMDB of raw planes: blue comes first)",
    ),
    "swapped-colours-by-model": Kind(
        "fault",
        "images that the model tells apart better with red and blue swapped",
        "swap the channels of the set, or give the model the colour order it was trained with",
    ),
    "misaligned": Kind(
        "fault",
        "images whose mean face is not where the five-point template has it",
        "align the faces to the template (`lfs-ray data pack` with landmarks)",
    ),
    "landmarks-off": Kind(
        "fault", "images whose landmarks are far from the template", "align the faces by them"
    ),
    "landmarks-missing": Kind("notice", "images without landmarks", "add them to the file"),
    "likely-mislabels": Kind(
        "notice",
        "images nearer to another class than to their own, by the model",
        "look at them; remove or relabel",
    ),
    "alike-classes": Kind(
        "notice",
        "pairs of classes that the model takes for one person",
        "look at them: one person under two labels? remove or merge one",
    ),
    # RecordIO
    "record-0": Kind(
        "fault",
        "header records that are missing or do not fit",
        "write the set again, or pack it: `lfs-ray data pack` reads every image record",
    ),
    "index-length": Kind(
        "fault",
        "records more or fewer in the .idx than in the .rec",
        "the copy of one is cut or they don't belong together: copy both again",
    ),
    "broken-record": Kind(
        "fault",
        "places where the .rec cannot be read on",
        "the copy is cut or damaged: copy again",
    ),
    "property-differs": Kind(
        "fault",
        "`property` files that give another number of classes",
        "take the one that belongs to the .rec",
    ),
    "manifest-differs": Kind(
        "fault",
        "manifests that do not fit the set",
        "the list was edited: give it with --list and as `data.lists`, or pack again",
    ),
    # Pairs
    "unreadable-pairs": Kind("fault", "pair lists that cannot be read", "correct the list"),
    "wrong-pairs": Kind(
        "fault",
        "pairs of one image, or that contradict the folders, which name the people",
        "correct the list",
    ),
    "odd-length": Kind(
        "fault", "images that are not two for each label", "the file is cut: copy or export again"
    ),
    "one-class": Kind(
        "fault", "pairs that are all of one kind", "add pairs of the other kind: same, different"
    ),
    "order-not-in-folds": Kind(
        "fault",
        "folds, of ten in the order given, with pairs of one kind only",
        "deal the pairs to ten folds, each with both kinds",
    ),
    "few-folds": Kind(
        "fault", "folds, fewer than the ten of the protocol", "deal the pairs to ten folds"
    ),
    "uneven-folds": Kind(
        "notice", "folds that differ in the number of their pairs", "deal them evenly"
    ),
}
"""In the order they are shown."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found."""

    name: str
    """A name in FINDINGS."""
    count: int
    """How many: of what, the kind's meaning says."""
    examples: tuple[str, ...] = ()
    """The first ten, one line each."""
    detail: str = ""
    """Numbers behind it, one line."""

    @property
    def kind(self) -> Kind:
        """Severity, meaning and advice."""
        return FINDINGS[self.name]

    @property
    def severity(self) -> Severity:
        """Fault or notice."""
        return FINDINGS[self.name].severity


def found(
    name: str,
    count: int,
    examples: Iterable[str] = (),
    detail: str = "",
) -> list[Finding]:
    """A list with the finding, or none when the count is 0; only ten examples are drawn."""
    if name not in FINDINGS:
        raise KeyError(name)
    if not count:
        return []
    return [Finding(name, int(count), tuple(islice(examples, SHOWN_EXAMPLES)), detail)]


def named(places: Iterable[int], name_of: Callable[[int], str]) -> Iterable[str]:
    """Names of places, made as they are asked for."""
    return (name_of(int(place)) for place in places)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Faults first, then notices, each in the order of the table."""
    rank = {name: place for place, name in enumerate(FINDINGS)}
    return tuple(sorted(findings, key=lambda found: (found.severity != "fault", rank[found.name])))
