"""Running decoding processes, seen from the process that wants the batches.

Data flow: jobs of `decoders` -> here, over a socket each -> `decoding_process`; its answers back.

They are started as programs of their own, never forked: this process may have threads, and has
imported far more than they need. When it is killed its ends of the sockets close, which ends them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle

from lfs_ray.data.batch_pixels import LabelledImages
from lfs_ray.data.decoding_jobs import Answer, Job, Stretch
from lfs_ray.data.shared_batches import Lending, SharedBatches, shared_memory
from lfs_ray.errors import DataError

_PROGRAM = "lfs_ray.data.decoding_process"
_END_S = 5.0


class DecodingTeam:
    """Processes that take turns; they end with this object.

    Args:
        faces: Where images come from; sent to each.
        num_processes: How many.
    """

    def __init__(self, faces: LabelledImages, num_processes: int) -> None:
        self._members: list[_Member] = []
        self._under_way: deque[_Member] = deque()
        self._lending: Lending | None = None
        self.close = weakref.finalize(self, _end, self._members)
        """Ends the processes; `close.alive` tells whether that is still to come."""
        for _ in range(num_processes):
            self._members.append(_start())
        for member in self._members:
            _tell(member, faces)

    def open_stretch(self, stretch: Stretch) -> Lending:
        """Tell all of what comes, and give all its memory.

        Raises:
            DataError: There is not so much memory.
        """
        if self._lending is not None and self._lending.serves(stretch.layout):
            for member in self._members:
                _tell(member, replace(stretch, new_memory=False))
            return self._lending
        self._lending = None
        file = shared_memory(stretch.layout)
        try:
            for member in self._members:
                _tell(member, stretch)
                with suppress(ConnectionError):
                    send_handle(member.socket, file, member.process.pid)
            self._lending = Lending(SharedBatches(file, stretch.layout), stretch.layout)
        finally:
            os.close(file)
        return self._lending

    def ask(self, number: int, job: Job) -> None:
        """Give batch `number` to the process whose turn it is."""
        member = self._members[number % len(self._members)]
        self._under_way.append(member)
        _tell(member, job)

    def answer(self) -> Answer:
        """Wait for the answer to the oldest job.

        Raises:
            DataError: The process ended, or says that the data cannot be read.
            RuntimeError: It met a bug.
        """
        member = self._under_way.popleft()
        try:
            answer: Answer = member.socket.recv()
        except (EOFError, ConnectionError):
            raise DataError(_lost(member.process)) from None
        if answer.failure:
            raise DataError(answer.failure)
        if answer.bug:
            raise RuntimeError(f"a decoding process failed\n{answer.bug}")
        return answer

    def settle(self) -> None:
        """Wait until no job is under way; raises as `answer` does."""
        while self._under_way:
            self.answer()
        if self._lending is not None:
            self._lending.reclaim()


@dataclass(frozen=True, slots=True)
class _Member:
    process: subprocess.Popen[bytes]
    socket: Connection


def _start() -> _Member:
    ours, theirs = Pipe()
    folders = [folder or os.getcwd() for folder in sys.path]
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _PROGRAM, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            process_group=0,  # Ctrl-C at the terminal is for the consumer alone
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
        )
    return _Member(process, ours)


def _tell(member: _Member, message: object) -> None:
    with suppress(ConnectionError):  # one that is gone is missed when its answer is due
        member.socket.send(message)


def _end(members: list[_Member]) -> None:
    """Close the sockets, upon which processes end; one that doesn't is killed."""
    for member in members:
        member.socket.close()
    for member in members:
        try:
            member.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            member.process.kill()
            member.process.wait()


def _lost(process: subprocess.Popen[bytes]) -> str:
    code = process.wait()
    how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    return (
        f"a process that decodes images must live as long as batches are wanted, process "
        f"{process.pid} {how}: see what it printed, or whether memory ran out (signal 9); "
        "worker.loader_processes = 0 decodes on threads"
    )
