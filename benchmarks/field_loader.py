"""A torch DataLoader over a packed set as face training usually has it: for loader.py.

Per image, in worker processes: record of the LMDB by key, OpenCV, BGR to RGB, mirror, float32,
(x - 127.5) / 128, height x width x channels to channels first; then the default collation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import lmdb
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lfs_ray.data.datum_pb2 import Datum


class FieldDataset(Dataset[tuple[Tensor, int]]):
    """Images of a list by position; each process opens the LMDB at its first read."""

    def __init__(self, folder: str) -> None:
        lines = Path(folder, "list.txt").read_text(encoding="utf-8").splitlines()
        rows = [line.rsplit(" ", 1) for line in lines]
        self.keys = [key for key, _ in rows]
        self.labels = [int(label) for _, label in rows]
        self.path = str(Path(folder, "data.lmdb"))
        self._transaction: lmdb.Transaction | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if self._transaction is None:
            cv2.setNumThreads(1)
            env = lmdb.open(self.path, subdir=False, readonly=True, lock=False, readahead=False)
            self._transaction = env.begin()
        record = Datum.FromString(self._transaction.get(self.keys[index].encode()))
        image = cv2.imdecode(np.frombuffer(record.data, np.uint8), cv2.IMREAD_COLOR)
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        if torch.rand(1) < 0.5:
            image = cv2.flip(image, 1)
        pixels = (image.astype(np.float32) - 127.5) / 128.0
        return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), self.labels[
            index
        ]


def field_loader(
    folder: str, order: NDArray[np.int64], batch_size: int, processes: int
) -> DataLoader[tuple[Tensor, int]]:
    """Batches (B, 3, H, W) float32 and labels, in the order given, from processes that stay."""
    indices: Sequence[int] = order.tolist()
    return DataLoader(
        FieldDataset(folder),
        batch_size=batch_size,
        sampler=indices,
        num_workers=processes,
        persistent_workers=True,
        multiprocessing_context="forkserver",
    )
