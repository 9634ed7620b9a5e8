"""Which failures of a storage may pass by themselves, and how long they are waited for."""

from __future__ import annotations

import errno
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

Answer = TypeVar("Answer")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
_MAY_PASS = frozenset(
    {errno.EIO, errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.ETIMEDOUT, errno.ESTALE}
    | {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ENOTCONN}
    | {errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET}
    | {errno.EREMOTEIO, errno.ENOLINK, errno.ESHUTDOWN}
)
# What object stores say of requests that will never be granted; pyarrow gives no number with it.
_REFUSED = re.compile(
    r"ACCESS_DENIED|SIGNATURE_DOES_NOT_MATCH|INVALID_[A-Z]|PERMISSION_DENIED|UNAUTHENTICATED|"
    r"HTTP status (30\d|40[0-7]|41\d)"
)


class NeverThereError(OSError):
    """A place that was never seen, such as a misspelt bucket: waiting for it is no use."""


class GaveUpError(Exception):
    """An action failed for good; its cause is the last failure.

    Args:
        reason: what the storage said, on one line.
        tried_s: how long it was tried, seconds; 0: once.
    """

    def __init__(self, reason: str, tried_s: float) -> None:
        super().__init__(reason)
        self.reason, self.tried_s = reason, tried_s

    def __str__(self) -> str:
        return f"{f'in {self.tried_s:.0f} s ' if self.tried_s else ''}({self.reason})"


def may_pass(error: OSError) -> bool:
    """Whether a failure may be over soon: an outage, not a full disk or a missing permission."""
    if isinstance(error, NeverThereError):
        return False
    if error.errno is not None:
        return error.errno in _MAY_PASS
    return not _REFUSED.search(str(error))


def pauses_s(spread: Callable[[], float]) -> Iterator[float]:
    """Pauses between attempts: twice as long each time up to the longest, then half to all of it.

    Args:
        spread: gives numbers from 0 to 1, so that many workers don't ask at the same instant.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        yield pause_s * (0.5 + 0.5 * spread())
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Repeats what fails while the failure may pass.

    Args:
        limit_s: an attempt is begun for so long after the first; 0: one attempt.
        now_s: a clock that never goes back.
        sleep: waits so many seconds.
        spread: see `pauses_s`; not the process's generator, which is training's business.
    """

    limit_s: float
    now_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    spread: Callable[[], float] = field(default_factory=lambda: random.SystemRandom().random)

    def call(self, action: Callable[[], Answer]) -> Answer:
        """What `action` returns, sooner or later.

        Raises:
            GaveUpError: it failed for good, or for too long.
        """
        began_s, pauses = self.now_s(), pauses_s(self.spread)
        tried_s = 0.0
        while True:
            try:
                return action()
            except OSError as error:
                left_s = self.limit_s - (self.now_s() - began_s)
                if left_s <= 0 or not may_pass(error):
                    raise GaveUpError(reason_of(error), tried_s) from error
            self.sleep(min(next(pauses), left_s))
            tried_s = self.now_s() - began_s


def reason_of(error: OSError) -> str:
    """What a storage said, on one line."""
    return " ".join((error.strerror or str(error) or type(error).__name__).split())
