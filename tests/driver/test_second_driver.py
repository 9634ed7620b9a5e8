"""Two drivers on one run: refused, or the second takes over; never both. Real processes."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
from killed_runs import START_TIMEOUT_S, KilledRun
from tiny_runs import content_of, lfs_ray, write_config, write_faces

from lfs_ray.driver import search as driver
from lfs_ray.execution.generations import start_generation
from lfs_ray.storage import Storage

Capture = pytest.CaptureFixture[str]
MODEL = "populations/main/model.safetensors"
ROUNDS = 4


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_faces(tmp_path_factory.mktemp("faces"))


def run_of(folder: Path, faces: str) -> KilledRun:
    file = write_config(folder, faces, search={"rounds": ROUNDS, "round_epochs": 8.0})
    return KilledRun(
        file=file, run_dir=folder / "run", rounds=ROUNDS, members=2, environment={"COLUMNS": "500"}
    )


@pytest.fixture(scope="module")
def undisturbed(faces: str, tmp_path_factory: pytest.TempPathFactory) -> KilledRun:
    run = run_of(tmp_path_factory.mktemp("undisturbed"), faces)
    run.finish()
    return run


@pytest.fixture
def run(faces: str, tmp_path: Path) -> KilledRun:
    return run_of(tmp_path, faces)


def ended(driver: subprocess.Popen[bytes]) -> int:
    return driver.wait(START_TIMEOUT_S)


def wait_for(run: KilledRun, trials: int) -> None:
    """Wait until so many trials are complete."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while run.trials_complete < trials:
        assert time.monotonic() < deadline, run.log.read_text()
        time.sleep(0.01)


def errors_of(run: KilledRun) -> list[str]:
    return [line for line in run.log.read_text().splitlines() if "error" in line]


def model_of(run: KilledRun) -> bytes:
    return (run.run_dir / MODEL).read_bytes()


@pytest.mark.slow
def test_second_driver_is_refused_without_resume_and_takes_over_with_it(
    run: KilledRun, undisturbed: KilledRun
) -> None:
    first = run.start()
    try:
        wait_for(run, 1)
        # Held still, so that it is in the middle of its search whatever the machine is at.
        first.send_signal(signal.SIGSTOP)
        assert ended(run.start()) == 1
        (line,) = errors_of(run)
        assert "a run that exists must be resumed, found an unfinished one" in line
        second = run.start("--resume", "must")
        wait_for(run, 4)
    finally:
        first.send_signal(signal.SIGCONT)
        code = ended(first)
    assert (code, ended(second)) == (1, 0), run.log.read_text()
    (line,) = errors_of(run)[1:]
    assert "the newest driver alone writes to the run" in line
    assert "found generation 1 beside this one, 0: this driver ends: `lfs-ray search" in line
    assert model_of(run) == model_of(undisturbed)


@pytest.mark.slow
def test_of_drivers_started_at_one_instant_one_goes_on(
    run: KilledRun, undisturbed: KilledRun
) -> None:
    drivers = [run.start() for _ in range(3)]
    codes = sorted(map(ended, drivers))
    assert codes == [0, 1, 1], run.log.read_text()
    for line in errors_of(run):
        assert "one driver at a time" in line or "a run that exists must be resumed" in line
    assert len(errors_of(run)) == 2
    assert len(list((run.run_dir / "generations").iterdir())) == 1
    assert model_of(run) == model_of(undisturbed)


@pytest.mark.parametrize(("resume", "code"), [("never", 1), ("must", 0)])
def test_driver_that_died_as_it_began_is_found(
    resume: str, code: int, run: KilledRun, capsys: Capture
) -> None:
    # Killed between its generation and the first file: nothing tells it from one that lives.
    start_generation(Storage(run.run_dir, fsync=False), ["main"])
    before = content_of(run.run_dir)
    assert lfs_ray("search", run.file, "--run-dir", str(run.run_dir), "--resume", resume) == code
    if code:
        (line,) = capsys.readouterr().err.splitlines()
        assert "whose driver begins just now, or ended as it began: continue it with `" in line
        assert content_of(run.run_dir) == before


def test_driver_that_looked_before_another_one_started_changes_nothing(
    run: KilledRun, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    # The other one starts while this one opens its data.
    storage = Storage(run.run_dir, fsync=False)

    def meanwhile(*args: object) -> int:
        start_generation(storage, ["main"])
        storage.write("config.toml", b"other = 1\n")
        return 0

    monkeypatch.setattr(driver, "check_material", meanwhile)
    assert lfs_ray("search", run.file, "--run-dir", str(run.run_dir)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "one driver at a time must work on the run" in line
    assert storage.read("config.toml") == b"other = 1\n"
    assert sorted(storage.list()) == ["config.toml", "generations"]
