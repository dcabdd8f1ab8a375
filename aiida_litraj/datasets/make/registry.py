"""Makers by the name of the data set they imitate."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ase.calculators.calculator import Calculator

from .centroids import make_nebbvse122k
from .configurations import make_mplitrj, make_mplitrj_subsample
from .layout import zip_up
from .lips25 import make_lips25
from .obelix import make_obelix
from .paths import make_nebdft2k
from .percolation import make_bvel13k
from .raw import make_mplitrj_raw

MAKERS: dict[str, Callable[..., Path]] = {
    'nebDFT2k': make_nebdft2k,
    'MPLiTrj': make_mplitrj,
    'MPLiTrj_subsample': make_mplitrj_subsample,
    'MPLiTrj_raw': make_mplitrj_raw,
    'BVEL13k': make_bvel13k,
    'nebBVSE122k': make_nebbvse122k,
    'LiPS-25': make_lips25,
    'OBELiX': make_obelix,
}


def make(
    name: str,
    folder: str | Path,
    n: int = 10,
    seed: int = 0,
    zipped: bool = False,
    calculator: Calculator | None = None,
    **options: Any,
) -> Path:
    """Write ``n`` entries in the publisher's layout and return the folder, file or zip of the made set.

    The set lies in ``folder`` under its own name, where the publisher's loader looks for it, and replaces one that is
    there. The same ``seed`` gives the same bytes. Energies, forces and stress come from ``calculator``, by default a
    fast toy potential. ``options`` are those of the set's maker, see its description.

    :raises ValueError: on a set or an option that does not exist, naming those that do.
    """
    if name not in MAKERS:
        raise ValueError(f'no maker for {name!r}; there are {", ".join(MAKERS)}')
    if n < 1:
        raise ValueError(f'n = {n}: a data set has at least one entry')
    known = list(inspect.signature(MAKERS[name]).parameters)[4:]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f'{name} has no option {", ".join(unknown)}; it has {", ".join(known)}')
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    place = MAKERS[name](folder, n, seed, calculator, **options)
    return zip_up(place) if zipped else place
