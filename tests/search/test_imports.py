"""What the search takes into a process: the policy actor stays small and starts quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "ray", "cma", "optuna", "scipy", "matplotlib", "pandas", "pyarrow")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )


def test_policies_import_nothing_heavy_before_it_is_asked_for() -> None:
    done = python(
        "import sys, lfs_ray.search.policy, lfs_ray.search.population\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", ["cma", "tpe"])
def test_asking_imports_what_is_needed_and_no_torch(name: str) -> None:
    module = {"cma": "cma", "tpe": "optuna"}[name]
    done = python(
        "import sys\n"
        "from lfs_ray.search.policy import build_policy\n"
        "from lfs_ray.search.space import build_space\n"
        f"policy = build_policy({name!r}, build_space())\n"
        "policy.sample(policy.initial_state(), 0, 4)\n"
        f"print({module!r} in sys.modules, 'torch' in sys.modules, 'ray' in sys.modules)"
    )
    assert (done.stdout, done.stderr) == ("True False False\n", "")


def test_an_installation_without_optuna_has_all_other_policies() -> None:
    done = python(
        "import sys\n"
        "sys.modules['optuna'] = None\n"
        "from lfs_ray.errors import ConfigError\n"
        "from lfs_ray.search.policy import POLICIES, build_policy\n"
        "from lfs_ray.search.space import build_space\n"
        "for name in POLICIES:\n"
        "    try:\n"
        "        build_policy(name, build_space())\n"
        "    except ConfigError as error:\n"
        "        print(name, error)\n"
    )
    assert done.stderr == ""
    assert done.stdout == "tpe policy tpe needs optuna; found none: pip install lfs-ray[optuna]\n"
