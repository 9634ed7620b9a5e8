"""`lfs-ray data pack`: images into a packed set."""

from __future__ import annotations

from lfs_ray.commands.parser import make_parser
from lfs_ray.data.pack import pack


def run(args: list[str]) -> None:
    """Carry out `lfs-ray data pack`."""
    parser = make_parser("data pack")
    parser.add_argument("source", metavar="SRC", help="folder with one folder a class")
    parser.add_argument("target", metavar="DST", help="new packed data set")
    parser.add_argument("--list", default="", metavar="FILE", help="`path label` lines instead")
    parser.add_argument("--size-px", type=int, default=0, help="resize to this square; 0: keep")
    parser.add_argument("--quality", type=int, default=95, help="JPEG quality where resized")
    options = parser.parse_args(args)
    manifest = pack(
        options.source,
        options.target,
        list_file=options.list,
        size_px=options.size_px,
        quality=options.quality,
    )
    print(f"{manifest['images']} images of {manifest['classes']} classes in {options.target}")
