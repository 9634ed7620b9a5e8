"""A Ray that a search starts itself is closed; secrets in its environment are written nowhere."""

from __future__ import annotations

import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from killed_runs import START_TIMEOUT_S, KilledRun, processes_of
from tiny_runs import write_config, write_faces

from lfs_ray.execution.connection import make_token

LOOPBACK = ("127.", "::1", "::ffff:127.")
SECRET = "marker-of-a-storage-secret"  # looked for in all files
LOOK_EVERY_S = 0.1


def listening(family: list[psutil.Process]) -> Iterator[tuple[str, str]]:
    """Process and address of every TCP socket that waits for connections."""
    for process in family:
        try:
            for one in process.net_connections(kind="inet"):
                if one.status == psutil.CONN_LISTEN:
                    yield process.name(), str(one.laddr.ip)
        except psutil.NoSuchProcess:
            continue


def holders(folder: Path, *secrets: str) -> list[str]:
    """Files below a folder that hold one of the secrets; some may vanish meanwhile."""
    found = []
    for path in folder.rglob("*"):
        try:
            content = path.read_bytes() if path.is_file() else b""
        except OSError:
            continue
        if any(secret.encode() in content for secret in secrets):
            found.append(str(path))
    return found


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name, as Ray's sockets need it."""
    with tempfile.TemporaryDirectory(prefix="lr-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> KilledRun:
    """A search on a Ray of its own, by a user who has no token yet and secrets in the shell."""
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    file = write_config(
        folder,
        write_faces(folder),
        search={"members": 2, "rounds": 3, "round_epochs": 2.0},
        worker={"executor": "ray", "count": 2, "cpus": 0.5},
    )
    (folder / "t").mkdir()
    secrets = {"AWS_ACCESS_KEY_ID": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET}
    places = {"HOME": str(folder), "TMPDIR": str(folder / "t")}
    return KilledRun(
        file=file,
        run_dir=folder / "run",
        rounds=3,
        members=2,
        environment={**places, **secrets},
    )


@pytest.mark.ray
def test_ray_of_our_own_listens_on_loopback_alone_and_secrets_reach_no_file(
    run: KilledRun, folder: Path
) -> None:
    token_file = folder / ".ray" / "auth_token"
    temporary, seen, held, tune_files = folder / "t", set(), set(), 0
    driver = run.start()
    deadline = time.monotonic() + START_TIMEOUT_S
    while driver.poll() is None:
        assert time.monotonic() < deadline, run.log.read_text()
        seen |= set(listening(processes_of(driver.pid)))
        if token_file.exists():
            held |= set(holders(temporary, SECRET, token_file.read_text()))
            tune_files += len(list(temporary.glob("lfs-ray-tune-*/search/*")))
        time.sleep(LOOK_EVERY_S)
    assert driver.returncode == 0, run.log.read_text()
    processes = {name for name, _ in seen}
    assert {"gcs_server", "raylet"} <= processes
    assert sum(name.startswith("ray::") for name in processes) >= 3  # workers, policy, pulses
    assert [one for one in seen if not one[1].startswith(LOOPBACK)] == []
    assert stat.S_IMODE(token_file.stat().st_mode) == 0o600
    assert tune_files
    assert held == set()
    assert holders(run.run_dir, SECRET, token_file.read_text()) == []
    assert holders(folder, SECRET) == []


def test_token_is_made_once_for_this_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_MODE")
    make_token()
    (file,) = (tmp_path / ".ray").iterdir()
    token = file.read_text()
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("auth_token", 0o600)
    assert len(token) >= 32
    make_token()
    assert file.read_text() == token


@pytest.mark.parametrize(
    ("name", "value"), [("RAY_AUTH_TOKEN", "mine"), ("RAY_AUTH_MODE", "disabled")]
)
def test_no_token_is_made_where_there_is_one_or_none_is_asked_for(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.setenv(name, value)
    make_token()
    assert list(tmp_path.iterdir()) == []
