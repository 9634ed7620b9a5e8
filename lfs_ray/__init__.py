"""lfs-ray searches the loss function of a face-recognition model while the model trains.

Public names are resolved when they are first used (PEP 562), so that `import lfs_ray` takes
neither ray nor torch.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

__all__ = ["__version__", "read_comparison", "read_trials"]

_MODULE_OF_NAME = {
    "read_comparison": "lfs_ray.trials.comparison_read",
    "read_trials": "lfs_ray.trials.read",
}


def __getattr__(name: str) -> object:
    """Import the module that defines the public name `name` and return the object."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_MODULE_OF_NAME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the module's names, those not yet resolved included."""
    return sorted({*globals(), *__all__})
