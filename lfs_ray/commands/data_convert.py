"""`lfs-ray data convert`: a `.bin` verification set into a plain one."""

from __future__ import annotations

from lfs_ray.commands.parser import make_parser
from lfs_ray.data.bin_convert import convert_bin


def run(args: list[str]) -> None:
    """Carry out `lfs-ray data convert`."""
    parser = make_parser("data convert")
    parser.add_argument("source", metavar="SET.bin", help="pickle of (images, same or not)")
    parser.add_argument("target", metavar="DST", help="new directory: packed images, pairs.tsv")
    options = parser.parse_args(args)
    done = convert_bin(options.source, options.target)
    height, width = done.height_width_px
    red, green, blue = done.mean_rgb
    print(
        f"{done.pairs} pairs ({done.same} same) of {height} x {width} images in {options.target}\n"
        f"mean red {red:.1f}, green {green:.1f}, blue {blue:.1f}"
    )
    if done.is_swapped:
        print(
            "The images look blue: red and blue may be exchanged in this set. Compare a picture, "
            "or the accuracy of a model in both colour orders."
        )
