"""`lfs-ray data pack`: images into a packed set."""

from __future__ import annotations

import argparse
import sys

from lfs_ray.commands.packing_progress import PackingCount, packing_progress
from lfs_ray.commands.parser import make_parser
from lfs_ray.data.image_changes import FORMATS
from lfs_ray.data.pack import pack
from lfs_ray.data.packed_files import DECODED_SAMPLE
from lfs_ray.data.packing.detect import KINDS
from lfs_ray.data.unfinished import unfinished_path

_INTERRUPTED = 130


def run(args: list[str]) -> int:
    """Carry out `lfs-ray data pack`."""
    options = _parser().parse_args(args)
    count = PackingCount()
    try:
        with packing_progress(count) as watch:
            manifest = pack(
                options.sources,
                options.target,
                kind=options.kind,
                list_file=options.list,
                image_column=options.image_column,
                label_column=options.label_column,
                key_column=options.key_column,
                size_px=options.size_px,
                landmarks=options.landmarks,
                image_format=options.format,
                quality=options.quality,
                threads=options.threads,
                restart=options.restart,
                watch=watch,
            )
    except KeyboardInterrupt:
        kept = unfinished_path(options.target)
        says = f"the same command goes on from {kept}" if kept.exists() else "nothing is kept"
        print(f"lfs-ray: interrupted: {says}", file=sys.stderr)
        return _INTERRUPTED
    print(_summary(manifest, options.target))
    print(f"{count.num_packed} images packed now, {count.images_per_s:.0f} images/s")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = make_parser(
        "data pack",
        "Pack images into one LMDB data set; several sources are joined, labels one after the "
        "other. What was interrupted goes on when the same command is given again.",
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SRC",
        help="folder of class folders, list file, .rec, tars, Parquet files, LMDB",
    )
    parser.add_argument("target", metavar="DST", help="new packed data set")
    parser.add_argument(
        "--kind", default="auto", choices=["auto", *KINDS], help="what SRC is (default auto)"
    )
    parser.add_argument("--list", default="", metavar="FILE", help="`path label` lines to take")
    parser.add_argument("--image-column", default="", metavar="NAME", help="Parquet: images")
    parser.add_argument("--label-column", default="", metavar="NAME", help="Parquet: labels")
    parser.add_argument("--key-column", default="", metavar="NAME", help="Parquet: keys")
    parser.add_argument("--size-px", type=int, default=0, help="resize to this square; 0: keep")
    parser.add_argument(
        "--landmarks",
        default="",
        metavar="FILE",
        help="align by `key x1 y1 ... x5 y5` lines: eyes, nose, mouth corners",
    )
    parser.add_argument(
        "--format", default="jpeg", choices=FORMATS, help="of changed images (default jpeg)"
    )
    parser.add_argument("--quality", type=int, default=95, help="JPEG quality of changed images")
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        help="readers (default: one a core where images are changed, else one; from a slow disk "
        "or a network more are faster)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="begin again, whatever was interrupted"
    )
    return parser


def _summary(manifest: dict[str, object], target: str) -> str:
    """What was packed, and what was verified of it."""
    images, shards = manifest["images"], manifest["shards"]
    assert isinstance(images, int)
    assert isinstance(shards, list)
    sample = len(range(0, images, max(1, images // DECODED_SAMPLE)))
    checked = f"checksums of {len(shards)} shard{'' if len(shards) == 1 else 's'} match"
    return (
        f"{images} images of {manifest['classes']} classes in {target}\n"
        f"verified: {images} images read back, {checked}, {sample} images decoded"
    )
