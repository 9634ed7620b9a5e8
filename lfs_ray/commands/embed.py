"""`lfs-ray embed`: embeddings of all images of a folder or packed set, into a directory."""

from __future__ import annotations

from lfs_ray.commands.parser import at_least, make_parser
from lfs_ray.commands.progress import shown_progress
from lfs_ray.data.store import open_store
from lfs_ray.driver.evaluate.embeddings import save_embeddings


def run(args: list[str]) -> None:
    """Carry out `lfs-ray embed`."""
    parser = make_parser("embed")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="*.safetensors of a run")
    parser.add_argument("images", metavar="IMAGES", help="folder of images, packed set or LMDB")
    parser.add_argument("target", metavar="DST", help="new directory")
    parser.add_argument("--no-flip", action="store_true", help="without the mirrors' embeddings")
    parser.add_argument("--threads", type=at_least(1), default=1, help="decoding threads")
    options = parser.parse_args(args)
    with shown_progress("embedding") as progress:
        count = save_embeddings(
            options.checkpoint,
            open_store(options.images),
            options.target,
            flip=not options.no_flip,
            threads=options.threads,
            progress=progress,
        )
    print(f"{count} embeddings in {options.target}")
