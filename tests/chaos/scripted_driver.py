"""A driver of the scripted search as a process: `scripted_driver.py RUN_DIR TRAPS PACE_S WAIT`.

Does what `lfs-ray search` does between its checks and its results, on the cluster that the run's
config.toml names. WAIT is sleep or hold. Exit code 1 and a line where the search stops before its
end.
"""

from __future__ import annotations

import contextlib
import functools
import sys

from chaos_storage import ChaosStorage
from executor_cases import EPOCH_IMAGES
from scripted_search import BlobRunner
from traps import Traps

from lfs_ray.config.load import read_config
from lfs_ray.errors import LfsRayError
from lfs_ray.execution.connection import connect, disconnect
from lfs_ray.execution.generations import start_generation
from lfs_ray.execution.tune_run import RaySearch, run_on_ray


def main(run_dir: str, traps: str, pace_s: str, wait: str) -> str:
    """Start or continue the search; the reason why it stopped."""
    storage = ChaosStorage(run_dir, fsync=False, traps=Traps(traps))
    text = storage.read("config.toml").decode()
    config = read_config(text, place=storage.path("config.toml"))
    connect(config.worker)
    search = RaySearch(
        config=config,
        config_text=text,
        epoch_images=EPOCH_IMAGES,
        storage=storage,
        generation=start_generation(storage, config.populations),
        make_runner=functools.partial(
            BlobRunner, storage=storage, pace_s=float(pace_s), holds=wait == "hold"
        ),
    )
    try:
        return run_on_ray(search, lambda desk: contextlib.nullcontext())
    except LfsRayError as error:
        return str(error)
    finally:
        disconnect()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
