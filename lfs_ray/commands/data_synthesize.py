"""`lfs-ray data synthesize`: synthetic faces into a packed set."""

from __future__ import annotations

from lfs_ray.commands.parser import make_parser
from lfs_ray.data.synthetic import SyntheticFaces, synthesize


def run(args: list[str]) -> None:
    """Carry out `lfs-ray data synthesize`."""
    parser = make_parser("data synthesize")
    parser.add_argument("target", metavar="DST", help="new packed data set")
    parser.add_argument("--identities", type=int, default=200, help="people (default 200)")
    parser.add_argument("--images", type=int, default=20, help="of each identity")
    parser.add_argument("--size-px", type=int, default=64, help="side (default 64)")
    parser.add_argument("--seed", type=int, default=0, help="of the faces (default 0)")
    options = parser.parse_args(args)
    spec = SyntheticFaces(options.identities, options.images, options.size_px, options.seed)
    manifest = synthesize(spec, options.target)
    print(f"{manifest['images']} images of {manifest['classes']} classes in {options.target}")
