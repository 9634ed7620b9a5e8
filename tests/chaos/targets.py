"""The searches that are put under fire: how each is started, how far it is, what came of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from executor_cases import Result, results
from scripted_search import run_alone, search_config, three_populations
from tiny_runs import write_config, write_faces
from traps import Traps

from lfs_ray.config.dump import dump_toml
from lfs_ray.config.load import read_config
from lfs_ray.config.sections import Config
from lfs_ray.storage import Storage
from lfs_ray.trials.committed import committed_rounds, read_generations, trials_folder
from lfs_ray.trials.ownership import select

HERE = Path(__file__).parent
REAL_TIMEOUT_S = 150.0


@dataclass(frozen=True)
class Progress:
    """Closed rounds of every population, and how many trials are written down in all."""

    rounds: dict[str, int]
    trials: int


@dataclass
class Target:
    """A run directory and the process that drives it; it is started and continued alike."""

    folder: Path
    words: list[str]
    """The driver's command after the interpreter."""
    final_files: tuple[str, ...] = ()
    """Files of the run that must equal the undisturbed run's, besides the last checkpoints."""
    traps_name: str = "traps"
    """Folder of the traps; drivers of one run may have their own."""
    driver: subprocess.Popen[bytes] | None = None
    _config: Config | None = field(default=None, repr=False)

    @property
    def run_dir(self) -> Path:
        """Where the run is."""
        return self.folder / "run"

    @property
    def traps(self) -> Traps:
        """The run's traps."""
        return Traps(str(self.folder / self.traps_name))

    @property
    def log(self) -> str:
        """The end of what the drivers printed."""
        path = self.folder / "driver.log"
        return path.read_text()[-4000:] if path.exists() else ""

    def start(self) -> None:
        """Start the driver, or start it again."""
        with open(self.folder / "driver.log", "ab") as log:
            self.driver = subprocess.Popen(
                [sys.executable, *self.words],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> None:
        """Kill the driver if it still runs."""
        if self.driver is not None:
            self.driver.kill()
            self.driver.wait()

    def progress(self) -> Progress:
        """How far the run is, by the names of its files."""
        storage, config = Storage(self.run_dir), self.config()
        if config is None:
            return Progress({}, 0)
        rounds, trials = {}, 0
        for name, population in config.populations.items():
            names = storage.list(trials_folder(name))
            parts = select(names, read_generations(storage), name)
            rounds[name] = parts[-1][2] + 1 if parts else 0
            journal = storage.list(f"populations/{name}/journal")
            complete = sum(entry.startswith(f"round-{rounds[name]:06d}-") for entry in journal)
            trials += rounds[name] * population.search.members + complete
        return Progress(rounds, trials)

    def config(self) -> Config | None:
        """The run's configuration; None before there is a run."""
        storage = Storage(self.run_dir)
        if self._config is None and storage.exists("config.toml"):
            text = storage.read("config.toml").decode()
            self._config = read_config(text, place="the run")
        return self._config

    def outcome(self) -> dict[object, object]:
        """Every result row, the bytes of the last checkpoints, and those of the final files."""
        return outcome_of(Storage(self.run_dir), self.final_files)


class Reference(Protocol):
    """A kind of search: its undisturbed outcome, and new runs of it."""

    outcome: dict[object, object]

    def target(self, folder: Path, address: str) -> Target:
        """A new run of it in an empty folder, on the cluster at the address."""


def outcome_of(storage: Storage, final_files: tuple[str, ...]) -> dict[object, object]:
    """What must be equal bit for bit, in pieces that can be counted."""
    config = read_config(storage.read("config.toml").decode(), place="the run")
    found: dict[object, object] = {name: storage.read(name) for name in final_files}
    for name, rows in results(config, storage).items():
        found |= {(name, *_place(row, number)): row for number, row in enumerate(rows)}
        last = committed_rounds(storage, name)[-1]
        stored = {int(str(row["member"])): str(row["checkpoint"]) for row in last.rows}
        found |= {
            (name, "weights", member): storage.read(path)
            for member, path in stored.items()
            if path != "None"
        }
    return found


def _place(row: Result, number: int) -> tuple[object, int]:
    return row[0], number


def differences(found: dict[object, object], wanted: dict[object, object]) -> list[object]:
    """Where two outcomes differ."""
    return [key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key)]


def scripted_target(
    folder: Path,
    config: Config,
    pace_s: float,
    *,
    wait: Literal["sleep", "hold"] = "sleep",
    traps: str = "traps",
) -> Target:
    """A scripted search in an empty folder, or another driver of the one that is there."""
    script, run_dir = str(HERE / "scripted_driver.py"), folder / "run"
    Storage(run_dir, fsync=False).write("config.toml", dump_toml(config).encode())
    words = [script, str(run_dir), str(folder / traps), str(pace_s), wait]
    return Target(folder, words, traps_name=traps)


class ScriptedSearch:
    """The search without torch."""

    def __init__(self, folder: Path, *, rounds: int, pace_s: float) -> None:
        self.populations, self.pace_s = three_populations(rounds), pace_s
        alone = run_alone(search_config(self.populations), folder / "alone")
        self.outcome = outcome_of(alone, ())

    def target(self, folder: Path, address: str) -> Target:
        """See `Reference`."""
        return scripted_target(folder, search_config(self.populations, address), self.pace_s)


class RealSearch:
    """The command line with real training; its undisturbed run is serial."""

    files = tuple(f"populations/main/{name}" for name in ("model.safetensors", "schedule.toml"))

    def __init__(self, folder: Path, *, rounds: int) -> None:
        self.rounds, self.faces = rounds, write_faces(folder)
        alone = self._target(folder, executor="serial")
        alone.start()
        assert alone.driver is not None
        assert alone.driver.wait(REAL_TIMEOUT_S) == 0, alone.log
        self.outcome = alone.outcome()

    def target(self, folder: Path, address: str) -> Target:
        """See `Reference`."""
        return self._target(folder, executor="ray", count=2, ray_address=address)

    def _target(self, folder: Path, **worker: object) -> Target:
        times = {"heartbeat_s": 1.0, "lease_timeout_s": 20.0}
        file = write_config(
            folder,
            self.faces,
            search={"members": 3, "rounds": self.rounds, "round_epochs": 8.0},
            worker={**times, **worker},
        )
        run_dir, traps = str(folder / "run"), str(folder / "traps")
        words = ["search", file, "--run-dir", run_dir, "--resume", "auto"]
        script = str(HERE / "command_driver.py")
        return Target(folder, [script, traps, *words], (*self.files, "results.csv"))
