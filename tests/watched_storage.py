"""A storage whose operations are counted, and before or after one of which something happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from lfs_ray.storage import Storage

Answer = TypeVar("Answer")
Operation = tuple[str, str]
"""What is done, and to which file."""


class Death(BaseException):
    """The process ended: nothing of ours catches it."""


def die() -> NoReturn:
    """End as a killed process does."""
    raise Death


class WatchedStorage(Storage):
    """Everything passes through `patiently`: there it is counted."""

    seen: list[Operation]
    before: Callable[[int, Operation], None]
    after: Callable[[int, Operation], None]

    def watch(
        self,
        before: Callable[[int, Operation], None] = lambda number, operation: None,
        after: Callable[[int, Operation], None] = lambda number, operation: None,
    ) -> WatchedStorage:
        """Count from 0, and call these around every operation."""
        self.seen, self.before, self.after = [], before, after
        return self

    def patiently(
        self, done: str, name: str, action: Callable[[], Answer], *, note: str = ""
    ) -> Answer:
        number, operation = len(self.seen), (done, name)
        self.seen.append(operation)
        self.before(number, operation)
        answer = super().patiently(done, name, action, note=note)
        self.after(number, operation)
        return answer


def at(number: int, happen: Callable[[], object]) -> Callable[[int, Operation], None]:
    """Something happens at one operation."""

    def hook(current: int, operation: Operation) -> None:
        if current == number:
            happen()

    return hook
