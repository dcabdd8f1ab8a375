"""What a run that was broken off must come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def assert_unbroken(found: Any, expected: Any, names: Sequence[str] | None = None) -> None:
    """All numbers, of all items or of those named, and their number of evaluations are the expected ones."""
    for entry in expected.result.items:
        if names is None or entry.id in names:
            assert found[entry.id] == entry
    keys = [key for key in expected.arrays if names is None or key.split('/')[0] in names]
    assert list(found.arrays) == keys
    for key in keys:
        np.testing.assert_array_equal(found.arrays[key], expected.arrays[key], err_msg=key)
    if names is None:
        assert found.calls == expected.calls
        assert found.result.exit == expected.result.exit
