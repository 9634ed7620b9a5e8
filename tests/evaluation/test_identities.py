"""Names of people become numbers, one a person in all lists."""

from __future__ import annotations

import numpy as np
import pytest

from lfs_ray.evaluation.identities import numbered


@pytest.mark.parametrize("names", [["b", "a", "c"], [7, -1, 2**40]])
def test_a_person_has_one_number_everywhere(names: list) -> None:
    one, two, three = names
    first, second, none = numbered([one, two, one], [three, one], np.array([], type(one)))
    assert first[0] == first[2] == second[1]
    assert len({int(first[0]), int(first[1]), int(second[0])}) == 3
    assert sorted({*first.tolist(), *second.tolist()}) == [0, 1, 2]
    assert none.tolist() == []
