"""Results of a function applied on threads, in order, a bounded number ahead of the consumer.

Data flow: `pack` reads and resizes files through it, `loader` decodes batches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int
) -> Generator[Result, None, None]:
    """Apply `function` on threads; results come in the order of `items`.

    At most `ahead` items are under way or waiting to be taken, those that the consumer has taken
    not counted. An exception of the function is raised in its place. Threads end with the
    iterator, also when it is closed early.
    """
    under_way: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="data")
    try:
        for item in items:
            if len(under_way) == ahead:
                yield under_way.popleft().result()
            under_way.append(pool.submit(function, item))
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
