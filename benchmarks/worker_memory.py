"""Peak resident memory of the workers on the embedded example. Bar: 900 MB.

    python benchmarks/worker_memory.py [--small] [FILE.toml]

Runs the example (or FILE.toml) as `lfs-ray search` does, on a Ray of its own, and reads from /proc
the peak resident size (VmHWM) of every process below this one, twice a second. A worker is a
process that Ray titles after Tune's trainable; shared memory that it touched counts for it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

BAR_MB = 900
PERIOD_S = 0.5
WORKER_TITLE = "ray::ResourceTrainable"
ACTOR_TITLE = "ray::PolicyActor"
SEARCH = [sys.executable, "-c", "from lfs_ray.cli import main; main()", "search"]


def peak_mb(pid: int) -> float:
    """Peak resident size of a process, NaN when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return float("nan")
    sizes_kb = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return sizes_kb[0] * 1024 / 1e6 if sizes_kb else float("nan")


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def look(driver: psutil.Process, peaks_mb: dict[str, float]) -> None:
    """Note the peaks of the driver, the workers and the policy actor that live now."""
    # Ray's processes leave the driver's group but stay its descendants.
    for process in [driver, *driver.children(recursive=True)]:
        text = title(process)
        names = {driver.pid: "driver"}
        if text.startswith(WORKER_TITLE):
            names[process.pid] = f"worker {process.pid}"
        elif text.startswith(ACTOR_TITLE):
            names[process.pid] = "policy actor"
        found = peak_mb(process.pid)
        if process.pid in names and found == found:
            name = names[process.pid]
            peaks_mb[name] = max(found, peaks_mb.get(name, 0.0))


def measure(command: list[str]) -> dict[str, float]:
    """Peaks in MB of the processes that a search starts."""
    peaks_mb: dict[str, float] = {}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as search:
        driver = psutil.Process(search.pid)
        while search.poll() is None:
            look(driver, peaks_mb)
            time.sleep(PERIOD_S)
    if search.returncode:
        raise SystemExit(f"the search ended with exit code {search.returncode}")
    return peaks_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="configuration (default: the embedded example)")
    parser.add_argument("--small", action="store_true", help="two rounds instead of all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory-") as folder:
        command = [*SEARCH, *([given.file] if given.file else []), "--run-dir", f"{folder}/run"]
        peaks_mb = measure([*command, *(["--search.rounds", "2"] if given.small else [])])
    for name in sorted(peaks_mb):
        print(f"{name:16} {peaks_mb[name]:6.0f} MB at its peak")
    worst = max(size for name, size in peaks_mb.items() if name.startswith("worker"))
    print(f"bar {BAR_MB} MB for a worker: {'reached' if worst <= BAR_MB else 'not reached'}")


if __name__ == "__main__":
    main()
