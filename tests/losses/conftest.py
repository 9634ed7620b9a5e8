"""The closed-form batch on which the golden values of the losses stand."""

from __future__ import annotations

import pytest
from heads import Head, golden_head


@pytest.fixture
def golden_batch() -> Head:
    return golden_head()
