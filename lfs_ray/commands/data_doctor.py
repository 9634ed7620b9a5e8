"""`lfs-ray data doctor`: what is wrong with a set of images."""

from __future__ import annotations

import os

from rich.console import Console

from lfs_ray.commands.parser import make_parser
from lfs_ray.commands.progress import shown_progress
from lfs_ray.data.doctor.examining import Report, examine
from lfs_ray.data.doctor.opening import open_specimen
from lfs_ray.data.doctor.pair_checks import check_pair_list
from lfs_ray.data.doctor.report_csv import write_csv
from lfs_ray.data.doctor.report_html import write_html
from lfs_ray.data.landmarks import read_landmarks
from lfs_ray.data.store import open_store
from lfs_ray.driver.doctor_text import print_report
from lfs_ray.errors import ConfigError


def run(args: list[str]) -> int:
    """Carry out `lfs-ray data doctor`; 1 when a fault was found."""
    parser = make_parser("data doctor", "The exit code is 1 when a fault is found, else 0.")
    parser.add_argument(
        "set", metavar="SET", help="packed set, LMDB, folder, list, .rec, .bin, tar or Parquet"
    )
    parser.add_argument("--list", default="", metavar="FILE", help="`key label` lines of the set")
    parser.add_argument("--pairs", default="", metavar="LIST", help="pairs of its images")
    parser.add_argument(
        "--images", default="", metavar="DIR", help="images of the pairs, where not the set's own"
    )
    parser.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="SET",
        help="sets that must share no image and no identity with it",
    )
    parser.add_argument("--model", default="", metavar="CHECKPOINT", help="to find mislabels")
    parser.add_argument(
        "--landmarks", default="", metavar="FILE", help="`key x1 y1 ... x5 y5` lines"
    )
    parser.add_argument(
        "--objects", action="store_true", help="no faces: don't judge skin colour and crops"
    )
    parser.add_argument("--html", default="", metavar="FILE", help="write a page")
    parser.add_argument("--csv", default="", metavar="FILE", help="write the findings")
    parser.add_argument("--threads", type=int, default=0, help="default: one a core")
    options = parser.parse_args(args)
    if options.threads < 0:
        raise ConfigError(f"--threads must be 1 or more, or 0 for one a core: {options.threads}")
    threads = options.threads or os.cpu_count() or 1
    specimen = open_specimen(options.set, options.list)
    landmarks = read_landmarks(options.landmarks) if options.landmarks else None
    with shown_progress("examining") as progress:
        report = examine(
            specimen,
            [open_specimen(other) for other in options.against],
            landmarks=landmarks,
            faces=not options.objects,
            threads=threads,
            progress=lambda _, done, total: progress(done, total),
        )
    if options.pairs:
        store = open_store(options.images or options.set)
        report = report.with_findings(check_pair_list(options.pairs, store))
    if options.model:
        report = _with_model(report, options.model, threads)
    print_report(report, Console())
    if options.html:
        write_html(report, options.html)
    if options.csv:
        write_csv(report, options.csv)
    return 0 if report.is_healthy else 1


def _with_model(report: Report, checkpoint: str, threads: int) -> Report:
    # Torch takes seconds to import: only where a model is asked.
    from lfs_ray.driver.doctor_model import check_with_model

    with shown_progress("embedding") as progress:
        found = check_with_model(report, checkpoint, threads=threads, progress=progress)
    return report.with_findings(found)
