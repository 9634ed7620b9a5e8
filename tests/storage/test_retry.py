"""Which failures are waited for, for how long, and what is said at the end."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lfs_ray.errors import RunError
from lfs_ray.storage import Storage, local_files
from lfs_ray.storage.retry import (
    LONGEST_PAUSE_S,
    GaveUpError,
    NeverThereError,
    Patience,
    may_pass,
    pauses_s,
)

PASSING = [errno.EIO, errno.ETIMEDOUT, errno.ESTALE, errno.EAGAIN, errno.ECONNRESET]
LASTING = [
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT),
]
SAID_BY_S3 = {
    "AWS Error SLOW_DOWN during PutObject operation: injected": True,
    "AWS Error UNKNOWN (HTTP status 503) during HeadObject operation: No response body.": True,
    "AWS Error INTERNAL_FAILURE during ListObjectsV2 operation: injected": True,
    "AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 7": True,
    "AWS Error NO_SUCH_BUCKET during CreateMultipartUpload operation: gone": True,
    "AWS Error ACCESS_DENIED during HeadObject operation: No response body.": False,
    "AWS Error INVALID_ACCESS_KEY_ID during PutObject operation: unknown": False,
    "AWS Error SIGNATURE_DOES_NOT_MATCH during PutObject operation: wrong": False,
    "google::cloud::Status(PERMISSION_DENIED: no)": False,
    "google::cloud::Status(UNAVAILABLE: try again)": True,
    "AWS Error UNKNOWN (HTTP status 301) during HeadBucket operation: elsewhere": False,
    "AWS Error UNKNOWN (HTTP status 400) during HeadBucket operation: bad": False,
}


class Clock:
    """Time that passes by sleeping, and by `busy_s` an attempt."""

    def __init__(self, busy_s: float = 0.0) -> None:
        self.time_s, self.busy_s = 0.0, busy_s
        self.slept: list[float] = []

    def now_s(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time_s += seconds

    def patience(self, limit_s: float) -> Patience:
        return Patience(limit_s=limit_s, now_s=self.now_s, sleep=self.sleep, spread=lambda: 1.0)


def failing(times: int, error: OSError, clock: Clock | None = None) -> Callable[[], str]:
    """An action that fails so often, then answers."""
    left = [times]

    def action() -> str:
        if clock:
            clock.time_s += clock.busy_s
        left[0] -= 1
        if left[0] >= 0:
            raise error
        return "answer"

    return action


def system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


# ---- the policy


@pytest.mark.parametrize(
    ("number", "passes"), [(n, True) for n in PASSING] + [(n, False) for n in LASTING]
)
def test_what_the_system_says(number: int, passes: bool) -> None:
    assert may_pass(system(number)) == passes


@pytest.mark.parametrize(("text", "passes"), SAID_BY_S3.items())
def test_what_an_object_store_says(text: str, passes: bool) -> None:
    assert may_pass(OSError(f"When asking: {text}")) == passes


def test_a_place_that_never_was_is_not_waited_for() -> None:
    assert not may_pass(NeverThereError("AWS Error NO_SUCH_BUCKET"))


def test_pauses_double_up_to_the_longest_and_are_spread() -> None:
    longest, shortest = pauses_s(lambda: 1.0), pauses_s(lambda: 0.0)
    pauses = [next(longest) for _ in range(9)]
    assert pauses[:4] == pytest.approx([0.1, 0.2, 0.4, 0.8])
    assert pauses[-1] == LONGEST_PAUSE_S
    assert [next(shortest) for _ in range(9)] == pytest.approx([one / 2 for one in pauses])


# ---- patience


def test_what_passes_is_repeated_until_it_has() -> None:
    clock = Clock()
    assert clock.patience(60).call(failing(3, system(errno.EIO))) == "answer"
    assert clock.slept == pytest.approx([0.1, 0.2, 0.4])


@pytest.mark.parametrize("error", [system(errno.ENOSPC), FileNotFoundError(2, "no")])
def test_what_lasts_is_told_at_once(error: OSError) -> None:
    clock = Clock()
    with pytest.raises(GaveUpError) as caught:
        clock.patience(60).call(failing(1, error))
    assert (caught.value.__cause__, caught.value.tried_s, clock.slept) == (error, 0, [])


@pytest.mark.parametrize(("limit_s", "busy_s"), [(10.0, 0.0), (10.0, 3.0), (0.3, 0.0)])
def test_patience_ends_at_its_limit(limit_s: float, busy_s: float) -> None:
    clock = Clock(busy_s)
    with pytest.raises(GaveUpError) as caught:
        clock.patience(limit_s).call(failing(999, system(errno.EIO), clock))
    # The last attempt begins at the limit, not before and not later.
    assert clock.time_s == pytest.approx(limit_s + busy_s, abs=busy_s)
    assert caught.value.tried_s <= limit_s
    assert "Input/output error" in str(caught.value)


def test_without_patience_there_is_one_attempt() -> None:
    clock = Clock()
    with pytest.raises(GaveUpError):
        clock.patience(0).call(failing(1, system(errno.EIO)))
    assert clock.slept == []


def test_the_pauses_leave_the_generator_of_the_process_alone() -> None:
    import random

    before = random.getstate()
    Patience(limit_s=0.01).spread()
    assert random.getstate() == before


# ---- what a user reads


OPERATIONS: dict[str, Callable[[Storage], object]] = {
    "read": lambda storage: storage.read("f/a"),
    "written": lambda storage: storage.write("f/a", b"new"),
    "looked up": lambda storage: storage.size("f/a"),
    "listed": lambda storage: storage.list("f"),
    "deleted": lambda storage: storage.delete("f/a"),
}


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, float], Storage]:
    """A storage whose every operation fails with an error number."""

    def make(number: int, limit_s: float) -> Storage:
        storage = Storage(tmp_path)
        storage.write("f/a", b"old")
        storage.patience = Clock().patience(limit_s)

        def fail(*args: object) -> None:
            raise system(number)

        monkeypatch.setattr(local_files.LocalFiles, "_at", fail)
        return storage

    return make


@pytest.mark.parametrize("done", OPERATIONS)
def test_every_operation_ends_in_one_line(
    done: str, broken: Callable[[int, float], Storage]
) -> None:
    storage = broken(errno.EIO, 20.0)
    with pytest.raises(RunError) as caught:
        OPERATIONS[done](storage)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert storage.path("f") in message
    assert f"could not be {done} in 20 s (Input/output error): " in message


@pytest.mark.parametrize("done", OPERATIONS)
def test_what_cannot_pass_is_told_with_its_reason(
    done: str, broken: Callable[[int, float], Storage]
) -> None:
    with pytest.raises(RunError, match=rf"could not be {done} \(Permission denied\): "):
        OPERATIONS[done](broken(errno.EACCES, 20.0))


@pytest.mark.parametrize("done", OPERATIONS)
def test_every_operation_is_tried_again(
    done: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(tmp_path)
    storage.write("f/a", b"old")
    clock = Clock()
    storage.patience = clock.patience(20.0)
    at, left = local_files.LocalFiles._at, [2]

    def fail_twice(self: local_files.LocalFiles, name: str) -> Path:
        left[0] -= 1
        if left[0] >= 0:
            raise system(errno.ESTALE)
        return at(self, name)

    monkeypatch.setattr(local_files.LocalFiles, "_at", fail_twice)
    OPERATIONS[done](storage)
    assert len(clock.slept) == 2
