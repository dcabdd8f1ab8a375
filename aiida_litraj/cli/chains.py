"""The chains that a person launches, and where the command line keeps what it says of each."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Chain:
    """A kind of chain; what stands as ``module:function`` is in this package and imported when it is needed.

    :ivar noun: what the chain gives.
    :ivar result: of a chain, its result as ``--json`` prints it, or ``None``.
    :ivar show: prints a result.
    :ivar picture: draws the result of a chain into a file and returns its path.
    :ivar line: a result in one line.
    """

    noun: str
    result: str
    show: str
    picture: str
    line: str

    def call(self, what: str, *arguments: Any) -> Any:
        """Return what the function ``result``, ``show``, ``picture`` or ``line`` returns."""
        module, _, name = str(getattr(self, what)).partition(':')
        return getattr(importlib.import_module(f'.{module}', __package__), name)(*arguments)


CHAINS = {
    'litraj.barrier': Chain(
        noun='barrier',
        result='processes:barrier_of',
        show='show:print_barrier',
        picture='plot:save_energy_profile',
        line='show:barrier_line',
    ),
    'litraj.conductivity': Chain(
        noun='conductivity',
        result='conductivity:conductivity_of',
        show='conductivity:print_conductivity',
        picture='conductivity:save_picture',
        line='conductivity:conductivity_line',
    ),
    'litraj.robustness': Chain(
        noun='robustness grid',
        result='robustness:robustness_of',
        show='robustness:print_robustness',
        picture='robustness:save_picture',
        line='robustness:robustness_line',
    ),
    'litraj.melt_quench': Chain(
        noun='melt-quench',
        result='melt_quench:melt_quench_of',
        show='melt_quench:print_melt_quench',
        picture='melt_quench:save_picture',
        line='melt_quench:melt_quench_line',
    ),
}
"""By the entry point of the chain."""
