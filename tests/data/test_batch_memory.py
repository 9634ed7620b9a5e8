from __future__ import annotations

import gc
import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lfs_ray.data.batch_memory import BatchMemory


def place(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_memory_comes_back_when_the_array_is_gone() -> None:
    memory = BatchMemory((4, 3, 2))
    first = memory.array()
    assert first.shape == (4, 3, 2)
    assert first.dtype == np.uint8
    assert first.flags.c_contiguous
    assert first.flags.writeable
    where = place(first)
    second = memory.array()
    assert place(second) != where
    del first
    assert place(memory.array()) == where


def test_a_part_of_an_array_keeps_its_memory() -> None:
    memory = BatchMemory((8, 3))
    for part_of in (
        lambda array: array[2:5],
        lambda array: array[:6][1:],
        lambda array: array.reshape(-1)[3:],
        lambda array: array[3],
        lambda array: array.view(np.int8)[:, ::-1],
        lambda array: memoryview(array)[1:],
        lambda array: np.asarray(memoryview(array)).T,
    ):
        part = part_of(memory.array())
        gc.collect()
        others = [memory.array() for _ in range(4)]
        assert not any(np.shares_memory(other, np.asarray(part)) for other in others)
        del part


@given(st.lists(st.booleans(), max_size=60))
def test_no_memory_is_lent_twice_and_no_more_than_needed(steps: list[bool]) -> None:
    memory, held, most = BatchMemory((5,)), [], 0
    places = set()
    for take in steps:
        if take:
            held.append(memory.array())
            places.add(place(held[-1]))
        elif held:
            del held[0]
        most = max(most, len(held))
        assert len({place(array) for array in held}) == len(held)
    assert len(places) <= most


def test_threads_get_memory_of_their_own() -> None:
    memory = BatchMemory((64,))
    wrong: list[int] = []

    def work(number: int) -> None:
        for _ in range(300):
            array = memory.array()
            array[:] = number
            if (array != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
