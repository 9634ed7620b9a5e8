"""Pack images into one LMDB data set: read on threads, written in order, continued when killed.

Data flow: paths -> `packing` sources -> here: read, change and encode on threads -> shards ->
`packed_writer` in an unfinished directory -> a packed directory for `sources`.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import lmdb

from lfs_ray import __version__
from lfs_ray.data.image_changes import ImageChanges
from lfs_ray.data.joined_source import JoinedSource, names_of, refuse_empty
from lfs_ray.data.packed_files import FORMAT, check_class_names
from lfs_ray.data.packed_writer import PackedWriter
from lfs_ray.data.packing.detect import open_source
from lfs_ray.data.packing.source import ImageSource
from lfs_ray.data.prefetch import ordered_map
from lfs_ray.data.shards import BLOCK_RECORDS, SHARD_BYTES, Block, as_block, cut_shards
from lfs_ray.data.unfinished import discard, unfinished_directory, unfinished_path
from lfs_ray.data.writer import refuse_existing
from lfs_ray.errors import DataError

Watch = Callable[[int, int], None]
"""Takes the images that are done, and all there are."""

_AHEAD_PER_THREAD = 2
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def pack(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    dst: str | os.PathLike[str],
    *,
    size_px: int = 0,
    landmarks: str = "",
    image_format: str = "jpeg",
    quality: int = 95,
    threads: int = 0,
    restart: bool = False,
    watch: Watch | None = None,
    **opening: str,
) -> dict[str, object]:
    """Pack one source, or several joined, into the new directory `dst`.

    Images keep their bytes unless they are resized or aligned. Labels of later sources follow
    those of earlier ones, and keys of joined sources get the source's name before them. `dst`
    appears whole or not at all; what a failure left is continued by the same call, to the same
    result.

    Args:
        sources: Folders, lists, record files, tars, Parquet files or LMDBs.
        dst: Directory to make.
        size_px: Side to resize to (the middle square); 0 keeps the images as they are.
        landmarks: File of `key x1 y1 ... x5 y5` lines, one for every image under its key in the
            packed set: images are aligned by them, to `size_px` or 112. "" aligns none.
        image_format: "jpeg" or "png", for changed images.
        quality: JPEG quality of changed images, 1 to 100.
        threads: Threads that read and change images. 0: one a core where images are changed; one
            where they are only read, as small files that the system has at hand come fastest so
            (from a slow disk or a network, ask for more).
        restart: Begin again instead of going on with what a failure left.
        watch: Called now and then with images done and images in all.
        opening: How the sources are to be read: `kind`, `list_file` and the other options of
            `packing.detect.open_source`.

    Returns:
        The manifest, as written to `dst`.

    Raises:
        DataError: `dst` exists, is being packed or lies in the folder to pack; nothing to pack, an
            empty class, an unreadable image, a key that is unusable or comes twice, a full disk.
    """
    changes = ImageChanges(size_px=size_px, image_format=image_format, quality=quality)
    if threads < 0:
        raise DataError(f"packing needs threads >= 0, got {threads}")
    refuse_existing(dst)
    if landmarks:
        changes = changes.aligned_by(landmarks)
    paths = [sources] if isinstance(sources, str | os.PathLike) else sources
    source = _opened([os.fspath(path) for path in paths], opening, dst)
    return pack_source(source, dst, changes, threads=threads, restart=restart, watch=watch)


def pack_source(
    source: ImageSource,
    dst: str | os.PathLike[str],
    changes: ImageChanges,
    *,
    threads: int = 0,
    restart: bool = False,
    watch: Watch | None = None,
) -> dict[str, object]:
    """Pack an opened source; see `pack`."""
    check_class_names(source.class_names)
    plan: dict[str, object] = {
        "format": FORMAT,
        "version of lfs-ray": __version__,
        "source": {"fingerprint": source.fingerprint, "images": len(source), **source.facts},
        "options": changes.facts(),
    }
    with unfinished_directory(dst, plan, restart=restart) as folder:
        try:
            return _fill(folder, source, changes, threads or _threads(changes), watch)
        except (OSError, lmdb.Error) as error:
            raise DataError(_failure(dst, error)) from None


def _threads(changes: ImageChanges) -> int:
    return 1 if changes.facts() is None else len(os.sched_getaffinity(0))


def _fill(
    folder: Path, source: ImageSource, changes: ImageChanges, threads: int, watch: Watch | None
) -> dict[str, object]:
    """Pack what is not yet packed; the manifest."""
    writer = PackedWriter(folder, durable=True)
    try:
        with writer:
            blocks = _blocks(source, changes, writer.num_images, threads, watch)
            with closing(blocks):
                for shard in cut_shards(blocks):
                    writer.add(shard)
            return writer.finish(source.class_names, source.facts, changes.facts())
    except BaseException:
        if not writer.num_images:
            discard(folder)
        raise


def _blocks(
    source: ImageSource, changes: ImageChanges, start: int, threads: int, watch: Watch | None
) -> Generator[Block, None, None]:
    """Blocks from place `start` on, in the order of the source."""
    num_classes, total = len(source.class_names), len(source)

    def load(first: int) -> Block:
        records = source.read(first, min(first + BLOCK_RECORDS, total))
        return as_block([changes.apply(record) for record in records], num_classes)

    with closing(_loaded(load, range(start, total, BLOCK_RECORDS), threads)) as parts:
        done = start
        if watch is not None:
            watch(done, total)
        for block in parts:
            yield block
            done += len(block.keys)
            if watch is not None:
                watch(done, total)


def _loaded(
    load: Callable[[int], Block], starts: Iterable[int], threads: int
) -> Generator[Block, None, None]:
    """Blocks by their starts, in order.

    One thread is the caller's own: two that take turns at the interpreter lock cost more.
    """
    if threads == 1:
        return (load(first) for first in starts)
    return ordered_map(load, starts, threads=threads, ahead=threads * _AHEAD_PER_THREAD)


def _opened(
    paths: Sequence[str], opening: dict[str, str], dst: str | os.PathLike[str]
) -> ImageSource:
    """The source at a path, or the sources at several as one."""
    if not paths:
        raise DataError("at least one source of images must be given, got none")
    if opening.get("list_file") and len(paths) > 1:
        raise DataError(
            f"a list goes with one source of images, got {len(paths)}: pack them one by one"
        )
    sources = [open_source(path, **opening) for path in paths]
    for path, source in zip(paths, sources, strict=True):
        _refuse_inside(dst, path, source)
    if len(sources) > 1:
        return JoinedSource(dict(zip(names_of(paths), sources, strict=True)))
    refuse_empty(paths[0], sources[0])
    return sources[0]


def _refuse_inside(dst: str | os.PathLike[str], path: str, source: ImageSource) -> None:
    """Raise DataError where the set would become a class of its own source."""
    is_inside = Path(dst).resolve().is_relative_to(Path(path).resolve())
    if is_inside and source.facts["kind"] == "folder":
        raise DataError(
            f"the packed set must lie outside its source, {os.fspath(dst)} is in {path}: choose "
            "another place"
        )


def _failure(dst: str | os.PathLike[str], error: OSError | lmdb.Error) -> str:
    """What to say when the target cannot be written.

    LMDB calls a write that a full disk cut short an input/output error: the room that is left
    tells.
    """
    work = unfinished_path(dst)
    room = shutil.disk_usage(work.parent).free
    kept = f"it goes on from {work}" if work.exists() else "nothing was whole yet"
    full = isinstance(error, lmdb.DiskError) or getattr(error, "errno", 0) in _NO_SPACE
    if full or room < SHARD_BYTES:
        return (
            f"the disk of {os.fspath(dst)} must have room for the packed images, it is full "
            f"({error}): make room and give the same command again, {kept}"
        )
    return (
        f"{os.fspath(dst)} must be on a disk that can be written, it cannot ({error}): repair "
        f"that and give the same command again, {kept}"
    )
