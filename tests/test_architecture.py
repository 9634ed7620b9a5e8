"""The package keeps the design's order, sizes and habits, and each rule finds a planted sin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from architecture_rules import PACKAGE, RANK, RULES, UNFINISHED, Module

import lfs_ray

ROOT = Path(__file__).resolve().parents[1]
MODULES = [
    Module(PurePosixPath(path.relative_to(ROOT / PACKAGE).as_posix()), path.read_text("utf-8"))
    for path in sorted((ROOT / PACKAGE).rglob("*.py"))
]
HEADER = "from __future__ import annotations\n"


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps(rule: str) -> None:
    found = [line for module in MODULES if not module.is_generated for line in RULES[rule](module)]
    assert not found, "\n".join([f"against {rule}:", *found])


def planted(rule: str, path: str, source: str) -> list[str]:
    return list(RULES[rule](Module(PurePosixPath(path), HEADER + source)))


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        ("import order", "losses/margin.py", "from lfs_ray.models import catalogue\n"),
        ("import order", "losses/margin.py", "from lfs_ray import models\n"),
        ("import order", "losses/margin.py", "from ..models import catalogue\n"),
        ("import order", "losses/margin.py", "import lfs_ray.config.sections\n"),
        ("import order", "losses/margin.py", "def f():\n    from lfs_ray.cli import main\n"),
        ("import order", "training/loop.py", "from lfs_ray.execution.serial import run\n"),
        ("import order", "driver.py", "from lfs_ray.compare import table\n"),
        ("import order", "errors.py", "from lfs_ray.seeds import derive\n"),
        ("import order", "__init__.py", "from lfs_ray.trials.read import read_trials\n"),
        ("import order", "attic/old.py", ""),
        ("outside packages", "driver.py", "import ray\n"),
        ("outside packages", "training/loop.py", "from ray import tune\n"),
        ("outside packages", "search/policy.py", "import torch.nn\n"),
        ("outside packages", "search/policy.py", "import time\n"),
        ("outside packages", "trials/read.py", "import pickle\n"),
        ("outside packages", "data/bin_set.py", "import pickle\n"),
        ("outside packages", "training/bin_pickle.py", "from pickle import loads\n"),
        ("outside packages", "data/bin_pickle.py", "import joblib\n"),
        ("outside packages", "execution/worker.py", "from ray import cloudpickle, put\n"),
        ("unpickling calls", "data/read.py", "numpy.load(f, allow_pickle=True)\n"),
        ("unpickling calls", "training/load.py", "torch.load(f, weights_only=False)\n"),
        ("running of text", "driver.py", "eval(text)\n"),
        ("running of text", "driver.py", "exec(text)\n"),
        ("running of text", "driver.py", "import yaml\nyaml.load(text)\n"),
        ("running of text", "driver.py", "import yaml\nyaml.unsafe_load(text)\n"),
        ("running of text", "training/load.py", "import torch\ntorch.load(f)\n"),
        ("running of text", "execution/worker.py", "import ray\nray.cloudpickle.loads(b)\n"),
        ("running of text", "data/bin_set.py", "pickle.Unpickler(f)\n"),
        ("running of text", "driver.py", "import subprocess\nsubprocess.run(x, shell=True)\n"),
        ("hidden imports", "driver.py", "def f():\n    import json\n"),
        ("hidden imports", "driver.py", "if True:\n    import json\n"),
        ("hidden imports", "driver.py", "try:\n    import lmdb\nexcept ImportError:\n    pass\n"),
        ("hidden imports", "cli.py", "from typing import TYPE_CHECKING\nTYPE_CHECKING\n"),
        ("hidden imports", "driver.py", "importlib.import_module('ray')\n"),
        ("hidden imports", "driver.py", "__import__('ray')\n"),
        ("sizes", "driver.py", "x = 1\n" * 300),
        ("sizes", "driver.py", "def f():\n" + "    x = 1\n" * 60),
        ("sizes", "driver.py", "async def f():\n" + "    x = 1\n" * 60),
        ("names", "data/utils.py", ""),
        ("names", "helpers/data.py", ""),
        ("names", "data/formats/stores/lmdb.py", ""),
        ("text", "driver.py", "x = 'm\u00e4rgin'\n"),
        *(("text", "driver.py", f"# {word}: later\n") for word in UNFINISHED),
    ],
)
def test_a_planted_violation_is_found(rule: str, path: str, source: str) -> None:
    assert len(planted(rule, path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source", "num_found"),
    [
        ("driver.py", "x = 1\n", 1),
        ("data/__init__.py", "def f(): pass\n", 1),
        ("data/__init__.py", '"""Doc."""\nfrom a import b\n__all__ = ["b"]\n', 0),
    ],
)
def test_missing_postponed_annotations_are_found(path: str, source: str, num_found: int) -> None:
    assert len(list(RULES["text"](Module(PurePosixPath(path), source)))) == num_found


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        ("import order", "losses/margin.py", "from lfs_ray.errors import ConfigError\n"),
        ("import order", "losses/margin.py", "from . import spaces\nfrom .spaces import x\n"),
        ("import order", "training/loop.py", "from lfs_ray.losses.margin import target\n"),
        ("import order", "driver.py", "from lfs_ray import __version__\n"),
        ("outside packages", "execution/worker.py", "import ray\nfrom ray import tune\n"),
        ("outside packages", "data/cache.py", "import rayon\nimport os\n"),
        ("outside packages", "data/bin_pickle.py", "import pickle\n"),
        ("unpickling calls", "data/read.py", "load(f, allow_pickle=False, weights_only=True)\n"),
        ("hidden imports", "cli.py", "def f():\n    from lfs_ray.driver import search\n"),
        ("hidden imports", "__init__.py", "def f():\n    import_module('lfs_ray.trials')\n"),
        ("running of text", "driver.py", "import yaml\nmodel.eval()\nyaml.safe_load(text)\n"),
        (
            "running of text",
            "training/load.py",
            "torch.load(f, weights_only=True)\n",
        ),
        ("sizes", "driver.py", "x = 1\n" * 299),
        ("sizes", "driver.py", "def f():\n" + "    x = 1\n" * 59),
        ("names", "data/formats/lmdb.py", ""),
        ("text", "driver.py", "x = 1\n"),
    ],
)
def test_what_is_allowed_is_let_through(rule: str, path: str, source: str) -> None:
    assert planted(rule, path, source) == []


def test_every_room_of_the_package_was_read() -> None:
    on_disk = {path.name.removesuffix(".py") for path in (ROOT / PACKAGE).glob("*")}
    assert {module.room for module in MODULES} - {"__init__"} == on_disk & RANK.keys()


def loaded_by(code: str) -> set[str]:
    """Top-level packages in sys.modules after `code` ran in a fresh interpreter."""
    report = "\nimport sys; print('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", code + report], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


def cli_call(*arguments: str) -> str:
    return f"""
import sys
from lfs_ray.cli import main
sys.argv = {["lfs-ray", *arguments]!r}
try:
    main()
except SystemExit:
    pass
"""


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import lfs_ray", {"ray", "torch", "pandas", "pyarrow", "numpy"}),
        ("import lfs_ray; lfs_ray.read_trials", {"ray", "torch"}),
        ("import lfs_ray.cli", {"ray", "torch", "pandas"}),
        (cli_call("--help"), {"ray", "torch", "pandas"}),
        (cli_call("trials", "no-such-run"), {"ray", "torch"}),
    ],
    ids=["package", "read_trials", "cli", "help", "trials"],
)
def test_light_commands_load_no_heavy_package(code: str, absent: set[str]) -> None:
    assert not loaded_by(code) & absent


def test_loaded_by_sees_a_submodule() -> None:
    assert "xml" in loaded_by("import xml.dom.minidom")


def test_public_names_are_those_that_resolve() -> None:
    assert sorted(lfs_ray.__all__) == sorted(["__version__", *lfs_ray._MODULE_OF_NAME])
    assert set(lfs_ray.__all__) <= set(dir(lfs_ray))
    for name in lfs_ray.__all__:
        assert getattr(lfs_ray, name) is not None


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'read_trial'"):
        getattr(lfs_ray, "read_trial")  # noqa: B009
