"""The command line under fire: `command_driver.py TRAPS search FILE ...`.

It is `lfs-ray` itself; only the storage of its run has traps.
"""

from __future__ import annotations

import functools
import sys

from chaos_storage import ChaosStorage
from traps import Traps

import lfs_ray.driver.search
from lfs_ray.cli import main

if __name__ == "__main__":
    traps = Traps(sys.argv.pop(1))
    lfs_ray.driver.search.Storage = functools.partial(ChaosStorage, traps=traps)
    main()
