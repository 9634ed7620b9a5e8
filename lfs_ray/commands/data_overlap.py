"""`lfs-ray data overlap`: identities that a training set shares; a list without them."""

from __future__ import annotations

import os
from argparse import Namespace
from functools import partial

from rich.console import Console

from lfs_ray.commands.parser import make_parser
from lfs_ray.commands.progress import shown_progress
from lfs_ray.data.cleaned_list import clean, write_cleaned
from lfs_ray.data.doctor.opening import open_specimen
from lfs_ray.data.doctor.specimen import Specimen
from lfs_ray.data.overlap import WAYS, Match, labels_named, read_names
from lfs_ray.data.whole_file import write_whole
from lfs_ray.driver.overlap import ByModel, find_matches, matches_csv, print_matches, reasons
from lfs_ray.errors import ConfigError


def run(args: list[str]) -> None:
    """Carry out `lfs-ray data overlap`."""
    options = _parse(args)
    ways = _ways(options)
    train = open_specimen(options.train, options.list)
    tests = [open_specimen(test) for test in options.tests]
    with shown_progress("comparing") as progress:
        matches = find_matches(
            train,
            tests,
            ways,
            name_files=options.names,
            by_model=_by_model(options) if "model" in ways else None,
            threads=options.threads,
            progress=progress,
        )
    print_matches(matches, Console())
    if options.matches:
        write_whole(options.matches, [matches_csv(matches)])
    _finish(options, train, matches)


def _parse(args: list[str]) -> Namespace:
    parser = make_parser(
        "data overlap",
        "DST.labels.tsv and DST.removed.tsv beside the list say which label was which, and what "
        "was removed why. Train with data.train = [TRAIN] and data.lists = [DST].",
    )
    parser.add_argument("train", metavar="TRAIN", help="the set to clean, anything doctor reads")
    parser.add_argument(
        "tests", nargs="*", metavar="TEST", help="sets that must share no identity"
    )
    parser.add_argument("--list", default="", metavar="FILE", help="`key label` lines of TRAIN")
    parser.add_argument(
        "--by", default="names", metavar="WAYS", help=f"of {','.join(WAYS)} (default names)"
    )
    parser.add_argument(
        "--names", action="append", default=[], metavar="FILE", help="more test names, one a line"
    )
    parser.add_argument("--model", default="", metavar="CHECKPOINT", help="for --by model")
    parser.add_argument(
        "--threshold",
        type=float,
        default=None,
        metavar="C",
        help="least cosine of two class centres (default: that of the halves of a class of TRAIN)",
    )
    parser.add_argument("--remove", default="", metavar="FILE", help="identities to remove")
    parser.add_argument("--keep", default="", metavar="FILE", help="the only identities to keep")
    parser.add_argument("--write", default="", metavar="DST", help="list of what stays")
    parser.add_argument("--matches", default="", metavar="FILE", help="CSV of all matches")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="default: one a core"
    )
    return parser.parse_args(args)


def _ways(options: Namespace) -> list[str]:
    ways = [way.strip() for way in options.by.split(",") if way.strip()]
    unknown = [way for way in ways if way not in WAYS]
    if unknown or not ways:
        raise ConfigError(f'--by must name ways of {", ".join(WAYS)}, got "{options.by}"')
    if options.names and "names" not in ways:
        ways.insert(0, "names")
    if "model" in ways and not options.model:
        raise ConfigError("--by model needs --model CHECKPOINT, got none")
    if not -1 <= (options.threshold or 0) <= 1 or options.threads < 1:
        raise ConfigError(
            f"--threshold must be a cosine, -1 to 1, and --threads 1 or more, got "
            f"{options.threshold} and {options.threads}"
        )
    if not (options.tests or options.names or options.remove or options.keep):
        raise ConfigError("give a TEST set, --names, --remove or --keep to compare with, got none")
    return ways


def _by_model(options: Namespace) -> ByModel:
    # Torch takes seconds to import: only where a model is asked.
    from lfs_ray.driver.overlap_model import match_by_model

    return partial(match_by_model, options.model, options.threshold, threads=options.threads)


def _finish(options: Namespace, train: Specimen, matches: list[Match]) -> None:
    """Say what stays, and write the list."""
    removed = reasons(matches)
    for label in _listed(train, options.remove):
        removed.setdefault(label, []).append(f"listed in {options.remove}")
    if options.keep:
        kept = _listed(train, options.keep)
        for label in train.identities().keys() - kept:
            removed.setdefault(label, []).append(f"not listed in {options.keep}")
    cleaned = clean(train, removed)
    stay = len(cleaned.old_labels)
    print(
        f"{len(removed)} of {cleaned.num_before} identities to remove; {stay} stay, with "
        f"{len(cleaned.rows)} of {len(train)} images"
    )
    if options.write:
        write_cleaned(train, cleaned, removed, options.write)
        print(f"list of what stays: {options.write}")


def _listed(train: Specimen, file: str) -> set[int]:
    """Labels of the identities that a file names; tells how many lines name none."""
    if not file:
        return set()
    labels, unknown = labels_named(train, read_names(file), file)
    if unknown:
        print(f"{file}: {len(unknown)} lines name no identity of the set, such as {unknown[0]!r}")
    return labels
