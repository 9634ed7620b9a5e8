"""`lfs-ray trials`: show the trial table."""

from __future__ import annotations

from lfs_ray.commands.parser import make_parser
from lfs_ray.trials.read import read_trials
from lfs_ray.trials.table import format_trials, write_csv


def run(args: list[str]) -> None:
    """Carry out `lfs-ray trials`."""
    parser = make_parser("trials")
    parser.add_argument("runs", nargs="+", metavar="DIR", help="run directory or URI")
    parser.add_argument("--sort", default="", metavar="COLUMN", help="best value first")
    parser.add_argument(
        "--csv", default="", metavar="FILE", help="write all columns there instead"
    )
    options = parser.parse_args(args)
    table = read_trials(options.runs if len(options.runs) > 1 else options.runs[0])
    text = format_trials(table, options.sort)
    if options.csv:
        write_csv(table, options.csv)
        print(f"{len(table)} trials written to {options.csv}")
    else:
        print(text)
