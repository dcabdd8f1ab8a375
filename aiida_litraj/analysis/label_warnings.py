"""What is odd about reference labels and no error: a cutoff that is too low, a pressure that no crystal has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..contract.frames import Frames
from ..contract.units import EV_PER_ANG3_OF_GPA

HIGH_GPA = 20.0
"""Beyond it no crystal here is meant to be: LiPS-25 goes to 1 GPa, and a melt at the volume of the crystal to some."""


FAR_BELOW = 0.6
"""Of what is wanted: GPAW at 60 eV instead of 340 is 0.75 eV per atom off, and differently for each configuration."""


def cutoff_warning(cutoff_ev: float, wanted: Mapping[str, tuple[float, str]]) -> str | None:
    """Return what to say of a cutoff that is lower than cores want; ``None`` where none does.

    :param wanted: by element, the cutoff in eV that it wants, and who says so.
    """
    low = {symbol: one for symbol, one in wanted.items() if one[0] > cutoff_ev * (1.0 + 1e-9)}
    if not low:
        return None
    by = ' and '.join(dict.fromkeys(who for _, who in low.values()))
    values: dict[str, list[str]] = {}
    for symbol in sorted(low):
        values.setdefault(f'{low[symbol][0]:.0f} eV', []).append(symbol)
    listed = '; '.join(f'{", ".join(symbols)} {value}' for value, symbols in values.items())
    far = cutoff_ev < FAR_BELOW * max(one[0] for one in low.values())
    what = 'that is far below, and energies are wrong too, not stresses and forces alone' if far else None
    return (
        f'level.cutoff_ev = {cutoff_ev:g} is less than {by} ({listed}): '
        f'{what or "stresses suffer first, then forces"}. '
        'See how much: --check-convergence. Change it: --override level.cutoff_ev=EV'
    )


def pressure_warning(frames: Frames, names: Sequence[str]) -> str | None:
    """Return what to say of pressures of more than ``HIGH_GPA``, naming the highest; ``None`` if there is none.

    :param names: of the configurations.
    """
    if frames.stresses is None:
        return None
    pressures = -np.asarray(frames.stresses)[:, :3].mean(axis=1) / EV_PER_ANG3_OF_GPA
    high = np.flatnonzero(np.abs(pressures) > HIGH_GPA)
    if not len(high):
        return None
    most = int(np.nanargmax(np.abs(pressures)))
    more = '' if len(high) == 1 else f', and {len(high) - 1} more beyond {HIGH_GPA:g} GPa'
    return (
        f'the pressure of {names[most]} is {pressures[most]:.0f} GPa{more}: a cutoff that is too low or too few '
        'k-points do that, or a cell far from its volume. See which: --check-convergence'
    )
