"""`lfs-ray data noise`: a list in which a share of the labels is wrong."""

from __future__ import annotations

import os
from functools import partial

from lfs_ray.commands.parser import make_parser
from lfs_ray.commands.progress import shown_progress
from lfs_ray.data.doctor.opening import open_specimen
from lfs_ray.data.label_noise import KINDS, MANIFEST_SUFFIX
from lfs_ray.driver.noise import ByModel, make_noise
from lfs_ray.errors import ConfigError


def run(args: list[str]) -> None:
    """Carry out `lfs-ray data noise`."""
    parser = make_parser(
        "data noise",
        "The images stay where they are: train with data.train = [SET] and data.lists = [DST]. "
        f"DST{MANIFEST_SUFFIX} says what was done.",
    )
    parser.add_argument("set", metavar="SET", help="the set, anything doctor reads")
    parser.add_argument("target", metavar="DST", help="list to write")
    parser.add_argument("--list", default="", metavar="FILE", help="`key label` lines of the set")
    parser.add_argument("--share", type=float, required=True, help="of the labels, 0 to 1")
    parser.add_argument(
        "--kind",
        default="symmetric",
        choices=KINDS,
        help="to any other class (default), or to one of the five most similar",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice (default 0)")
    parser.add_argument(
        "--model",
        default="",
        metavar="CHECKPOINT",
        help="what similar means; without it, mean images",
    )
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="default: one a core"
    )
    options = parser.parse_args(args)
    if options.model and options.kind != "similar":
        raise ConfigError(f"--model needs --kind similar, got {options.kind}")
    if not 0 <= options.seed < 2**63 or options.threads < 1:
        raise ConfigError(
            f"--seed must be 0 to 2**63 - 1 and --threads 1 or more, got {options.seed} and "
            f"{options.threads}"
        )
    specimen = open_specimen(options.set, options.list)
    with shown_progress("comparing") as progress:
        manifest = make_noise(
            specimen,
            options.target,
            share=options.share,
            kind=options.kind,
            seed=options.seed,
            checkpoint=options.model,
            by_model=_by_model(options.model, options.threads) if options.model else None,
            threads=options.threads,
            progress=progress,
        )
    print(
        f"{manifest['flipped']} of {manifest['images']} labels flipped, {manifest['classes']} "
        f"classes: {options.target}, {options.target}{MANIFEST_SUFFIX}"
    )


def _by_model(checkpoint: str, threads: int) -> ByModel:
    # Torch takes seconds to import: only where a model is asked.
    from lfs_ray.driver.noise_model import centres_by_model

    return partial(centres_by_model, checkpoint, threads=threads)
