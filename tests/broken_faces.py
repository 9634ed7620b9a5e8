"""Damage to packed faces; in a module of its own that another process imports quickly."""

from __future__ import annotations

from pathlib import Path

import lmdb

from lfs_ray.data import datum


def break_images(faces: str | Path, count: int = 1) -> None:
    """Make the first image of each of the first `count` people undecodable."""
    env = lmdb.open(f"{faces}/data.lmdb", subdir=False, lock=False)
    with env.begin(write=True) as txn:
        for person in range(count):
            assert txn.put(f"p{person:05d}/000.jpg".encode(), datum.encode(b"no image", 0))
    env.close()
