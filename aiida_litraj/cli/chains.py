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
}
"""By the entry point of the chain."""
