"""Files of a run on any filesystem: whole or absent, patiently, and only inside the run."""

from lfs_ray.storage.local_files import TEMPORARY
from lfs_ray.storage.run_folder import Buffer, Storage

__all__ = ["TEMPORARY", "Buffer", "Storage"]
