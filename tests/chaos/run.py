"""The long form of the chaos suite: `PYTHONPATH=tests python tests/chaos/run.py --kills 200`.

A tenth of the kills, and at least six, hit real training through the command line. Exit code 1
where a run differs from the undisturbed one, or a driver ended by itself.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from campaign import Campaign, campaign
from cluster_nodes import nodes_in
from targets import RealSearch, Reference, ScriptedSearch


def wage(trainer: str, reference: Reference, kills: int, seed: int, folder: Path) -> Campaign:
    """A campaign on a cluster of its own."""
    began, waged = time.monotonic(), campaign(trainer, reference, kills, seed)
    with nodes_in(folder, count=2, cpus=2) as nodes:
        try:
            waged.wage(nodes, folder)
        finally:
            took_s = time.monotonic() - began
            print(*waged.table(), f"{took_s:.0f} s", "", sep="\n", flush=True)
    return waged


def main() -> int:
    """Run as many kills as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--real", type=int, help="of these on real training")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    num_real = max(6, given.kills // 10) if given.real is None else given.real
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as name:
        folder, waged = Path(name), []
        if given.kills > num_real:
            reference = ScriptedSearch(folder, rounds=60, pace_s=0.05)
            waged += [wage("scripted", reference, given.kills - num_real, given.seed, folder)]
        if num_real:
            waged += [wage("real", RealSearch(folder, rounds=20), num_real, given.seed, folder)]
    endings = [words for one in waged for words in one.endings]
    print(*endings, sep="\n")
    return 1 if endings or any(one.num_differences for one in waged) else 0


if __name__ == "__main__":
    raise SystemExit(main())
