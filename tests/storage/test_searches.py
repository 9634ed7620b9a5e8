"""Whole searches on a storage that misbehaves: the rows and weights are the undisturbed ones."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from executor_cases import FAULTLESS, FAULTY, POPULATIONS, by_hand, config_of, reference, results
from executor_cases import FAULTS as SCRIPTED_FAULTS
from faulty_proxy import Fault, FaultyProxy, every, vanished
from s3_server import s3_uri
from scripted_runner import ScriptedRunner, trainings
from stored_searches import SMALL, assert_whole, begin, drive, start_driver
from tiny_runs import lfs_ray, tiny_config, write_config, write_faces

from lfs_ray.errors import RunError
from lfs_ray.execution.coordinator import Coordinator
from lfs_ray.execution.serial import run_serial
from lfs_ray.storage import Storage, remote_files
from lfs_ray.storage.retry import Patience

ALL = config_of(POPULATIONS, keep_last=2, compact_rounds=2)
WANTED = reference(SMALL, FAULTLESS)
FAULTS = (
    Fault(error="SlowDown"),
    Fault(drop="after"),
    Fault(error="InternalError"),
    Fault(drop="middle"),
    Fault(error="NoSuchBucket"),
    Fault(delay_s=0.3),
)


@pytest.fixture
def storage(proxy: FaultyProxy, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A run on S3, behind the proxy; each request is made once, so that ours is the patience."""
    monkeypatch.setattr(remote_files, "ATTEMPTS", 1)
    storage = Storage(s3_uri(proxy.port, bucket))
    begin(SMALL, storage)
    return storage


def test_a_search_on_s3_equals_the_local_one(storage: Storage, tmp_path: Path) -> None:
    assert drive(SMALL, storage, tmp_path / "marks") == ""
    assert_whole(SMALL, storage, WANTED)


@pytest.mark.slow
def test_searches_of_several_populations_survive_every_fault_of_s3(
    storage: Storage, proxy: FaultyProxy, tmp_path: Path
) -> None:
    begin(ALL, storage)
    storage.patience = quick(60)
    runner = ScriptedRunner(script=FAULTY, storage=storage, marks=tmp_path / "marks")
    with proxy.judging(every(9, *FAULTS)):
        keeper = start_driver(ALL, storage)
        assert run_serial(keeper, runner, lambda lease, outcome: None) == ""
    assert len(proxy.seen) > 9 * 4 * len(FAULTS)
    assert results(ALL, storage) == reference(ALL, FAULTY)
    # Nothing was trained again because of them, but what its own fault failed.
    searches = [population.search for population in ALL.populations.values()]
    trials = sum(search.members * search.rounds for search in searches)
    assert trainings(tmp_path / "marks").total() == trials + len(SCRIPTED_FAULTS)


@pytest.mark.parametrize("period", [2, 5])
def test_a_search_survives_every_fault_of_s3(
    period: int, storage: Storage, proxy: FaultyProxy, tmp_path: Path
) -> None:
    storage.patience = quick(60)
    with proxy.judging(every(period, *FAULTS)):
        assert drive(SMALL, storage, tmp_path / "marks") == ""
    assert len(proxy.seen) > period * 4 * len(FAULTS)
    assert_whole(SMALL, storage, WANTED)
    # Nothing was trained again because of them.
    assert set(trainings(tmp_path / "marks").values()) == {1}


def quick(limit_s: float) -> Patience:
    """Patience without long pauses."""
    return Patience(limit_s=limit_s, sleep=lambda pause_s: time.sleep(pause_s / 20))


def at_request(number: int, seconds: float, proxy: FaultyProxy) -> Callable[[object], Fault]:
    """The bucket vanishes at a request, and is back after so many seconds."""
    begin_at, gone = len(proxy.seen) + number, vanished(seconds)
    return lambda request: gone(("", "")) if len(proxy.seen) > begin_at else Fault()


@pytest.mark.parametrize("number", range(10, 130, 30))
def test_a_bucket_that_vanishes_for_a_moment_is_waited_for(
    number: int, storage: Storage, proxy: FaultyProxy, tmp_path: Path
) -> None:
    with proxy.judging(at_request(number, 0.5, proxy)):
        assert drive(SMALL, storage, tmp_path / "marks") == ""
    assert_whole(SMALL, storage, WANTED)


@pytest.mark.slow
def test_a_bucket_that_vanishes_for_ten_seconds_is_waited_for(
    storage: Storage, proxy: FaultyProxy, tmp_path: Path
) -> None:
    began_s = time.monotonic()
    with proxy.judging(at_request(57, 10.0, proxy)):
        assert drive(SMALL, storage, tmp_path / "marks") == ""
    assert time.monotonic() - began_s > 10
    assert_whole(SMALL, storage, WANTED)


def test_a_bucket_that_stays_away_stops_the_search_and_it_resumes(
    storage: Storage, proxy: FaultyProxy, tmp_path: Path
) -> None:
    storage.patience = Patience(limit_s=1.0)
    with proxy.judging(at_request(70, 3600, proxy)):
        reason = drive(SMALL, storage, tmp_path / "marks")
    assert "NO_SUCH_BUCKET" in reason
    assert re.search(r" in [1-9]\d* s ", reason)
    assert "newest driver" not in reason
    assert drive(SMALL, storage, tmp_path / "marks") == ""
    assert_whole(SMALL, storage, WANTED)


def test_a_keeper_that_restarts_while_the_bucket_is_gone_waits_for_it(
    storage: Storage, proxy: FaultyProxy, tmp_path: Path
) -> None:
    runner = ScriptedRunner(script=FAULTLESS, storage=storage, marks=tmp_path / "marks")
    by_hand(SMALL, storage, runner, trials=3)
    kind, given = storage.__reduce__()[:2]
    sent = kind(*given)  # type: ignore[operator]  # as Ray sends it to a policy actor
    with proxy.judging(vanished(1.0)):
        keeper = Coordinator(SMALL, 256, sent, 0)
    assert keeper.standings()[0].round == 1
    assert run_serial(keeper, runner, lambda lease, outcome: None) == ""
    assert_whole(SMALL, storage, WANTED)


# ---- a network disk that is unmounted looks like an empty folder


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A mount point with a run whose first round is closed and the second begun."""
    folder = tmp_path / "disk"
    storage = Storage(folder / "run", fsync=False)
    begin(SMALL, storage)
    runner = ScriptedRunner(script=FAULTLESS, storage=storage, marks=tmp_path / "marks")
    by_hand(SMALL, storage, runner, trials=3)
    return folder


class Unmounted:
    """The disk is away until it was waited for so often."""

    def __init__(self, disk: Path, pauses: int) -> None:
        self.disk, self.away, self.pauses = disk, disk.with_name("away"), pauses
        disk.rename(self.away)
        disk.mkdir()

    def sleep(self, pause_s: float) -> None:
        self.pauses -= 1
        if self.pauses == 0:
            for path in sorted(self.disk.rglob("*"), reverse=True):
                path.unlink() if path.is_file() else path.rmdir()
            self.disk.rmdir()
            self.away.rename(self.disk)


def test_a_keeper_that_restarts_waits_for_its_disk(disk: Path, tmp_path: Path) -> None:
    storage = Storage(disk / "run", fsync=False)
    mount = Unmounted(disk, pauses=3)
    storage.patience = Patience(limit_s=60, sleep=mount.sleep)
    keeper = Coordinator(SMALL, 256, storage, 0)
    assert mount.pauses == 0
    assert keeper.standings()[0].round == 1
    runner = ScriptedRunner(script=FAULTLESS, storage=storage, marks=tmp_path / "marks")
    assert run_serial(keeper, runner, lambda lease, outcome: None) == ""
    assert_whole(SMALL, storage, WANTED)


def test_a_disk_that_stays_away_is_no_takeover(disk: Path, tmp_path: Path) -> None:
    storage = Storage(disk / "run", fsync=False)
    keeper = Coordinator(SMALL, 256, storage, 0)
    Unmounted(disk, pauses=0)
    storage.patience = Patience(limit_s=0)
    runner = ScriptedRunner(script=FAULTLESS, storage=storage, marks=tmp_path / "marks")
    # The parent is gone too: the trainer's own storage still sees it.
    runner = ScriptedRunner(
        script=FAULTLESS, storage=Storage(disk.with_name("away") / "run"), marks=tmp_path / "marks"
    )
    reason = run_serial(keeper, runner, lambda lease, outcome: None)
    assert "newest driver" not in reason
    assert "could not be listed (this driver's generation 0 is gone)" in reason or (
        "is not there or is cut off" in reason
    )
    with pytest.raises(RunError, match="this driver's generation 0 is gone"):
        Coordinator(SMALL, 256, storage, 0)


# ---- the command line


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_faces(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def local(faces: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run on a local disk, to which nothing happened."""
    folder = tmp_path_factory.mktemp("local")
    file = write_config(folder, faces, optimizer={"schedule": "constant"})
    assert lfs_ray("search", file, "--run-dir", str(folder / "run")) == 0
    return folder / "run"


def test_the_command_line_searches_on_s3(
    faces: str,
    local: Path,
    proxy: FaultyProxy,
    bucket: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    constant = {"schedule": "constant"}
    file = write_config(tmp_path, faces, optimizer=constant)
    uri = s3_uri(proxy.port, bucket)
    assert lfs_ray("search", file, "--run-dir", uri, "--search.rounds", "1") == 0
    printed = capsys.readouterr().out
    assert f"Results: {Storage(uri).path('results.csv')}" in printed
    # Again: more rounds, on a storage that fails now and then.
    with proxy.judging(every(11, *FAULTS)):
        words = ("--resume", "must", "--search.rounds", "2")
        assert lfs_ray("search", file, "--run-dir", uri, *words) == 0
    assert lfs_ray("search", file, "--run-dir", uri, "--resume", "auto") == 0
    assert "is finished: nothing to do" in capsys.readouterr().out
    config = tiny_config(faces, optimizer=constant)
    assert results(config, Storage(uri)) == results(config, Storage(local))
    model = "populations/main/model.safetensors"
    assert Storage(uri).read(model) == Storage(local).read(model)
    assert lfs_ray("trials", uri) == 0
    assert lfs_ray("trials", uri, str(local)) == 0
    assert (
        lfs_ray(
            "train",
            file,
            "--run-dir",
            str(tmp_path / "replay"),
            "--schedule",
            Storage(uri).path("populations/main/schedule.toml"),
        )
        == 0
    )


@pytest.mark.usefixtures("all_loaded")
def test_a_run_in_a_bucket_gets_its_name(
    faces: str, s3_port: int, bucket: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_config(
        tmp_path,
        faces,
        run={"dir": s3_uri(s3_port, bucket, "all"), "name": "mine"},
        search={"members": 1, "rounds": 1, "policy": "fixed"},
    )
    assert lfs_ray("search", file) == 0
    storage = Storage(s3_uri(s3_port, bucket, "all"))
    assert storage.list() == ["mine"]
    assert b'name = "mine"' in storage.read("mine/config.toml")


@pytest.mark.usefixtures("all_loaded")
@pytest.mark.parametrize("command", ["search", "trials"])
def test_a_bucket_that_is_misspelt_is_told_at_once(
    command: str, s3_port: int, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = s3_uri(s3_port, f"{bucket}-misspelt")
    began_s = time.monotonic()
    assert lfs_ray(command, *(["--run-dir"] if command != "trials" else []), uri) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "NO_SUCH_BUCKET" in line
    assert time.monotonic() - began_s < 20
