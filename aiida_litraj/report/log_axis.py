"""Logarithmic axes on which values can be read, however short they are."""

from __future__ import annotations

import numpy as np
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, Locator, MaxNLocator, NullFormatter, NullLocator

_STEPS = ((1.0,), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0))
_FEWEST = 4


class ReadableLog(Locator):
    """Round numbers of a logarithmic axis, as few as leave four of them in view."""

    def __init__(self, whole: bool = False) -> None:
        """:param whole: whether there are only whole numbers, as of epochs."""
        self.whole = whole

    def __call__(self) -> list[float]:
        assert self.axis is not None
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        low, high = sorted((vmin, vmax))
        if low <= 0.0:
            return []
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        for steps in _STEPS:
            found = [step * 10.0**decade for decade in decades for step in steps]
            found = [
                one for one in found if low <= one <= high and (not self.whole or float(f'{one:.6g}').is_integer())
            ]
            if len(found) >= _FEWEST:
                return found
        linear = MaxNLocator(_FEWEST, steps=[1, 2, 5, 10], integer=self.whole).tick_values(low, high)
        return [float(one) for one in linear if low <= one <= high]


def label_readably(axis: Axis, whole: bool = False) -> None:
    """Label a logarithmic axis with :class:`ReadableLog`."""
    axis.set_major_locator(ReadableLog(whole))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:.3g}'))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
