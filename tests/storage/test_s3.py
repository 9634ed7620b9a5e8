"""What is relied on of pyarrow and S3, against a real server and a proxy that misbehaves."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from faulty_proxy import NO_FAULT, Fault, FaultyProxy, Request, first
from pyarrow import fs
from s3_server import s3_uri

from lfs_ray.errors import RunError
from lfs_ray.storage import Storage, remote_files
from lfs_ray.storage.retry import Patience

PART = 12 * 2**20
"""Bytes: more than pyarrow sends as one request."""
OPERATIONS: dict[str, Callable[[Storage], object]] = {
    "write": lambda storage: storage.write("f/a", b"content"),
    "read": lambda storage: storage.read("f/a"),
    "exists": lambda storage: storage.exists("f/a"),
    "size": lambda storage: storage.size("f/a"),
    "list": lambda storage: storage.list("f"),
    "delete": lambda storage: storage.delete("f/b"),
}
ANSWERS = {"write": 7, "read": b"content", "exists": True, "size": 7, "list": ["a"]}
FAULTS = {
    "503": Fault(error="SlowDown"),
    "500": Fault(error="InternalError"),
    "no bucket": Fault(error="NoSuchBucket"),
    "dropped before": Fault(drop="before"),
    "dropped after": Fault(drop="after"),
    "dropped in the middle": Fault(drop="middle"),
}


@pytest.fixture
def storage(proxy: FaultyProxy, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """A folder behind the proxy, that was reached before; each request is made once."""
    monkeypatch.setattr(remote_files, "ATTEMPTS", 1)
    storage = Storage(s3_uri(proxy.port, bucket), retry_s=60)
    storage.write("f/a", b"content")
    storage.patience = quick(60)
    proxy.seen.clear()
    return storage


def quick(limit_s: float) -> Patience:
    """Patience without long pauses."""
    return Patience(limit_s=limit_s, sleep=lambda pause_s: time.sleep(min(pause_s, 0.05)))


def objects(storage: Storage) -> list[str]:
    """Every object of the bucket, markers of folders too."""
    files = storage._files
    assert isinstance(files, remote_files.RemoteFiles)
    bucket = files.root.partition("/")[0]
    found = files.filesystem.get_file_info(fs.FileSelector(bucket, recursive=True))
    return sorted(info.path.removeprefix(f"{files.root}/") for info in found if info.is_file)


# ---- requests


def test_a_small_file_is_one_request_and_leaves_no_folder(
    storage: Storage, proxy: FaultyProxy
) -> None:
    storage.write("g/h/x", b"1", b"2")
    assert [method for method, _ in proxy.seen] == ["PUT"]
    assert objects(storage) == ["f/a", "g/h/x"]


def test_a_file_of_several_parts_is_whole(storage: Storage) -> None:
    parts = [bytes([number]) * PART for number in range(3)]
    assert storage.write("big", *parts) == 3 * PART
    assert storage.read("big") == b"".join(parts)


def test_credentials_come_from_the_environment_alone(storage: Storage) -> None:
    assert "a-secret" not in repr(storage.__reduce__()) + storage.path("x")


# ---- faults that pass


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_passes_is_survived(
    operation: str,
    fault: Fault,
    storage: Storage,
    proxy: FaultyProxy,
) -> None:
    with proxy.judging(first(2, fault)):
        assert OPERATIONS[operation](storage) == ANSWERS.get(operation)
    assert storage.read("f/a") == b"content"


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_slow_answer_is_an_answer(operation: str, storage: Storage, proxy: FaultyProxy) -> None:
    # Longer than the second and the three after which pyarrow itself gives up.
    storage.patience = quick(0)
    with proxy.judging(first(1, Fault(delay_s=4.5))):
        assert OPERATIONS[operation](storage) == ANSWERS.get(operation)


def test_silence_ends(proxy: FaultyProxy, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "SILENCE_TIMEOUT_S", 1.0)
    monkeypatch.setattr(remote_files, "ATTEMPTS", 1)
    storage = Storage(s3_uri(proxy.port, bucket), retry_s=0)
    began_s = time.monotonic()
    with (
        proxy.judging(first(9, Fault(delay_s=6.0))),
        pytest.raises(RunError, match=r"could not be read .*Timeout was reached"),
    ):
        storage.read("f/a")
    assert time.monotonic() - began_s < 5


def test_a_server_that_stays_away_is_told_with_the_time(
    storage: Storage, proxy: FaultyProxy
) -> None:
    storage.patience = quick(1.5)
    with (
        proxy.judging(lambda request: Fault(error="SlowDown")),
        pytest.raises(RunError) as caught,
    ):
        storage.list("f")
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert f"{storage.path('f')} could not be listed in " in message
    assert "SLOW_DOWN" in message


@pytest.mark.parametrize("operation", OPERATIONS)
def test_access_denied_is_told_at_once(
    operation: str, storage: Storage, proxy: FaultyProxy
) -> None:
    with (
        proxy.judging(lambda request: Fault(error="AccessDenied")),
        pytest.raises(RunError, match="ACCESS_DENIED"),
    ):
        OPERATIONS[operation](storage)
    assert len(proxy.seen) == 1


# ---- a bucket that is not there


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("sent", [False, True])
def test_a_bucket_that_vanished_is_no_empty_folder(
    operation: str, sent: bool, storage: Storage, proxy: FaultyProxy
) -> None:
    if sent:
        kind, given = storage.__reduce__()[:2]
        storage = kind(*given)  # type: ignore[operator]
    # By this clock a second attempt is the last, however slow the machine is.
    ticks = itertools.count(step=0.04)
    storage.patience = Patience(limit_s=0.1, now_s=lambda: next(ticks), sleep=lambda pause_s: None)
    with (
        proxy.judging(lambda request: Fault(error="NoSuchBucket")),
        pytest.raises(RunError, match=r"could not be \w+( up)? in 0 s .*NO_SUCH_BUCKET"),
    ):
        OPERATIONS[operation](storage)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_bucket_that_never_was_is_told_at_once(operation: str, proxy: FaultyProxy) -> None:
    storage = Storage(s3_uri(proxy.port, "no-such-bucket"), retry_s=60)
    began_s = time.monotonic()
    with pytest.raises(RunError, match=r"could not be \w+( up)? \(.*NO_SUCH_BUCKET"):
        OPERATIONS[operation](storage)
    assert time.monotonic() - began_s < 5


def test_a_role_that_may_not_look_at_the_bucket_is_enough(
    storage: Storage, proxy: FaultyProxy
) -> None:
    def confined(request: Request) -> Fault:
        whole = request[0] == "HEAD" and request[1].count("/") == 1
        return Fault(error="AccessDenied") if whole else NO_FAULT

    with proxy.judging(confined):
        assert storage.list("nothing") == []
        assert not storage.exists("nothing")
    assert any(method == "HEAD" and path.count("/") == 1 for method, path in proxy.seen)


# ---- uploads that end half-way


@pytest.mark.parametrize("old", [None, b"old"])
def test_ctrl_c_in_an_upload_leaves_a_whole_file_or_none(
    old: bytes | None, storage: Storage, proxy: FaultyProxy
) -> None:
    if old is not None:
        storage.write("big", old)
    slow = Fault(delay_s=0.15)

    def interrupt(request: Request) -> Fault:
        # The first part waits for this request: others are not handed over yet.
        if request[1].endswith("?uploads"):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return slow

    with proxy.judging(interrupt), pytest.raises(KeyboardInterrupt):
        storage.write("big", *[b"x" * PART] * 4)
    assert storage.size("big") in (4 * PART, len(old) if old else None)


@pytest.mark.parametrize("lost", range(1, 4))
def test_a_part_that_is_lost_completes_nothing(
    lost: int, storage: Storage, proxy: FaultyProxy
) -> None:
    storage.write("big", b"old")
    storage.patience = quick(0)

    def lose(request: Request) -> Fault:
        return Fault(error="InternalError") if f"partNumber={lost}&" in request[1] else NO_FAULT

    with proxy.judging(lose), pytest.raises(RunError, match="could not be written"):
        storage.write("big", *[b"x" * PART] * 3)
    assert storage.read("big") == b"old"


def test_a_process_that_is_killed_in_an_upload_completes_nothing(
    storage: Storage, proxy: FaultyProxy
) -> None:
    storage.write("big", b"old")
    child: list[int] = []

    def kill(request: Request) -> Fault:
        if "partNumber=2" in request[1]:
            os.kill(child[0], signal.SIGKILL)
        return NO_FAULT

    with proxy.judging(kill):
        code = (
            "import sys; from lfs_ray.storage import Storage; "
            f"Storage(sys.argv[1]).write('big', *[b'x' * {PART}] * 4)"
        )
        process = subprocess.Popen([sys.executable, "-c", code, storage.url])
        child.append(process.pid)
        assert process.wait(60) == -signal.SIGKILL
    assert storage.read("big") == b"old"


def test_an_answer_that_is_cut_off_is_no_file(storage: Storage, proxy: FaultyProxy) -> None:
    storage.patience = quick(0)

    def cut(request: Request) -> Fault:
        return Fault(drop="middle") if request[0] == "GET" else NO_FAULT

    with proxy.judging(cut), pytest.raises(RunError, match="could not be read"):
        storage.read("f/a")
