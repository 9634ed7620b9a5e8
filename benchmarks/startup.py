"""Time of `lfs-ray --help` beside a bare interpreter and `import lfs_ray`. Bar: 0.6 s.

Medians over runs in alternation, so that a busy moment of the machine hits all of them.

    python benchmarks/startup.py [--small]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

BAR_S = 0.6
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import lfs_ray": [sys.executable, "-c", "import lfs_ray"],
    "lfs-ray --help": [str(Path(sys.executable).with_name("lfs-ray")), "--help"],
}


def seconds(command: list[str]) -> float:
    start_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="5 runs instead of 21")
    num_runs = 5 if parser.parse_args().small else 21
    runs = [
        {name: seconds(command) for name, command in COMMANDS.items()} for _ in range(num_runs)
    ]
    for name in COMMANDS:
        times_s = [run[name] for run in runs]
        print(
            f"{name:15}  median {statistics.median(times_s):.3f} s, fastest {min(times_s):.3f} s"
        )
    print(f"bar: {BAR_S:.1f} s for the median of lfs-ray --help, {num_runs} runs")


if __name__ == "__main__":
    main()
