"""Identities that two sets share by name.

Data flow: `Specimen`s -> here -> findings of the doctor, and the removals of `overlap`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from lfs_ray.data.doctor.finding import Finding, found
from lfs_ray.data.doctor.specimen import Specimen

_BETWEEN_WORDS = re.compile(r"[\s_.\-']+")


def plain_name(name: str) -> str:
    """A name as names are compared: case, blanks, underscores, dots and hyphens don't count.

    A bare number is the number of a class, no name: it gives "". Classes of joined sets are named
    `source/name`: only what comes last is the name.

    >>> plain_name("Jean-Luc_PICARD ") == plain_name("jean luc picard")
    True
    >>> plain_name("casia/0017")
    ''
    """
    plain = _BETWEEN_WORDS.sub(" ", name.rpartition("/")[2].casefold()).strip()
    return "" if plain.replace(" ", "").isdigit() else plain


def by_plain_name(names: Iterable[str]) -> dict[str, str]:
    """Names by their plain form; of several with one form the first."""
    table: dict[str, str] = {}
    for name in names:
        if plain := plain_name(name):
            table.setdefault(plain, name)
    return table


def shared_names(
    identities: Mapping[int, str], others: Iterable[str]
) -> list[tuple[int, str, str]]:
    """Label, own name and other name of each identity whose name is among `others`."""
    known = by_plain_name(others)
    return [
        (label, name, known[plain])
        for label, name in identities.items()
        if (plain := plain_name(name)) in known
    ]


def check_names(specimen: Specimen, others: Sequence[Specimen]) -> list[Finding]:
    """Identities of a set that are in each of some other sets by name."""
    findings: list[Finding] = []
    own = specimen.identities()
    for other in others:
        shared = shared_names(own, other.identities().values())
        examples = (mine if mine == theirs else f"{mine} = {theirs}" for _, mine, theirs in shared)
        findings += found("shared-identities", len(shared), examples, f"against {other.path}")
    return findings
