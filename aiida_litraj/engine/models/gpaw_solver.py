"""GPAW on one configuration after the other, by all ranks of the communicator that it runs under."""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np

from ...contract.errors import LitrajError
from ...contract.gpaw import SAFER_MIXER, SMEARINGS, GpawOptions
from .elements import symbols_of
from .interface import Configuration, Evaluation

NEAR_ANG = 0.3
"""How far an atom may have moved for the wave functions of the configuration before to be a start. Farther away they
could lead to another solution than a start from atoms does, and they hardly save a step."""


def setup_files(functional: str) -> dict[str, Path]:
    """Return the PAW set-ups for a functional on this node, by element; the first folder of GPAW's path wins.

    Of two files for an element in one folder GPAW takes the last by name, which is the compressed one.
    """
    import gpaw

    found: dict[str, Path] = {}
    for folder in gpaw.setup_paths:
        for path in sorted(Path(folder).glob(f'*.{functional}*'), reverse=True):
            name = path.name.removesuffix('.gz')
            symbol = name.removesuffix(f'.{functional}')
            if name.endswith(f'.{functional}') and '.' not in symbol:
                found.setdefault(symbol, path)
    return found


def missing_setup(elements: list[str], functional: str, there: dict[str, Path]) -> LitrajError:
    """Return the error for elements without a set-up, with what can be done about it."""
    import gpaw

    where = ', '.join(map(str, gpaw.setup_paths)) or 'no folder at all'
    if there:
        remedy = (
            f'none for {functional} in {where}, where there are those of {len(there)} other elements; install a set '
            'that has it ("gpaw install-data FOLDER", or the package gpaw-data) and let GPAW_SETUP_PATH name the folder'
        )
    else:
        remedy = (
            f'there are none at all for {functional} in {where}; install them ("gpaw install-data FOLDER", or the '
            'package gpaw-data) and let GPAW_SETUP_PATH name the folder, or name a functional that has them with the '
            'option setups, such as setups=PBE'
        )
    return LitrajError('ERROR_SETUP_MISSING', element=', '.join(elements), remedy=remedy)


class Solver:
    """GPAW in plane waves; what has converged last is the start of the next where that is near."""

    def __init__(self, options: GpawOptions) -> None:
        self._options = options
        self._setups = setup_files(options.setup_functional)
        if not self._setups:
            raise missing_setup(['any element'], options.setup_functional, self._setups)
        self._valence: dict[str, float] = {}
        self._calculator: Any = None
        self._last: Any = None

    @property
    def elements(self) -> list[str]:
        """The elements that there is a set-up for."""
        return sorted(self._setups)

    def identity(self) -> str:
        """Return a hash of all that the numbers depend on: options, version of GPAW, contents of the set-ups."""
        digest = hashlib.sha256(self._options.physics().encode())
        digest.update(importlib.metadata.version('gpaw').encode())
        for symbol, path in sorted(self._setups.items()):
            digest.update(symbol.encode() + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()

    def fingerprints(self) -> dict[str, str]:
        """Return what GPAW calls the fingerprint of each set-up, by element: the MD5 of the file's text."""
        return {symbol: _fingerprint(path) for symbol, path in sorted(self._setups.items())}

    def evaluate(self, configuration: Configuration) -> Evaluation:
        """Return the free energy in eV, the forces in eV/Ang, and the stress if it is asked for.

        :raises LitrajError: ``ERROR_SETUP_MISSING``, ``ERROR_SCF_NOT_CONVERGED``.
        """
        symbols = symbols_of(configuration.numbers.tolist())
        lacking = [symbol for symbol in symbols if symbol not in self._setups]
        if lacking:
            raise missing_setup(lacking, self._options.setup_functional, self._setups)
        atoms = _atoms(configuration)
        if self._is_near(atoms):
            try:
                return self._converged(atoms, configuration.stress)
            except Exception as error:
                if not _was_the_start(error):
                    raise
        self._calculator = self._fresh(atoms)
        try:
            return self._converged(atoms, configuration.stress)
        except _not_converged():
            self._calculator = self._fresh(atoms, safer=True)  # one such image would cost the whole band
        try:
            return self._converged(atoms, configuration.stress)
        except _not_converged() as error:
            raise LitrajError('ERROR_SCF_NOT_CONVERGED', reason=self._standing(str(error))) from error

    def _is_near(self, atoms: Any) -> bool:
        """Return whether the kept wave functions are a start: the same cell and atoms, none of them far away."""
        from ase.geometry import find_mic

        last = self._last
        if last is None or len(last) != len(atoms) or (last.numbers != atoms.numbers).any():
            return False
        if (last.cell.array != atoms.cell.array).any() or (last.pbc != atoms.pbc).any():
            return False
        _, moved = find_mic(atoms.positions - last.positions, atoms.cell, atoms.pbc)
        return bool(np.max(moved) < NEAR_ANG)

    def _converged(self, atoms: Any, stress: bool) -> Evaluation:
        """Return what the calculator says of atoms; it is kept as the start of the next if it converges."""
        self._last = None
        atoms.calc = self._calculator
        energy = float(atoms.get_potential_energy(force_consistent=True))
        forces = np.array(atoms.get_forces(), dtype=np.float64)
        tensor = np.array(atoms.get_stress(voigt=False), dtype=np.float64) if stress else None
        self._last = atoms
        return Evaluation(energy, forces, tensor)

    def _fresh(self, atoms: Any, safer: bool = False) -> Any:
        """Return a calculator that starts from atoms; a ``safer`` one mixes slowly and has twice as many steps."""
        from gpaw import GPAW, PW
        from gpaw.xc import XC

        level = self._options.level
        functional = XC(level.functional)
        functional.get_setup_name = lambda: self._options.setup_functional
        convergence: dict[str, Any] = {
            'energy': level.energy_convergence_ev / self._electrons(atoms),  # GPAW's is for each valence electron
            'density': level.density_convergence,
        }
        if level.force_convergence_ev_per_ang is not None:
            convergence['forces'] = level.force_convergence_ev_per_ang
        mesh = [n if periodic else 1 for n, periodic in zip(level.mesh(_filled(atoms.cell)), atoms.pbc)]
        return GPAW(
            mode=PW(level.cutoff_ev),
            xc=functional,
            kpts={'size': mesh, 'gamma': True},
            occupations={**SMEARINGS[level.smearing], 'width': level.smearing_width_ev},
            spinpol=False,
            convergence=convergence,
            maxiter=level.max_scf_steps * (2 if safer else 1),
            symmetry={'point_group': self._options.point_group},
            txt=None,
            **({'mixer': dict(SAFER_MIXER)} if safer else {}),
        )

    def _electrons(self, atoms: Any) -> float:
        """Return the number of valence electrons, as the set-ups have them."""
        from gpaw.setup_data import SetupData

        for symbol in set(atoms.symbols) - set(self._valence):
            self._valence[symbol] = float(SetupData(symbol, self._options.setup_functional).Nv)
        return sum(self._valence[symbol] for symbol in atoms.symbols)

    def _standing(self, said: str) -> str:
        """Return how far the cycle came before it was given up."""
        level = self._options.level
        return (
            f'{level.max_scf_steps} steps were not enough from a start of atoms, nor were twice as many with slower '
            f'mixing, for {level.energy_convergence_ev:g} eV and {level.density_convergence:g} of the density ({said});'
            ' raise max_scf_steps or smearing_width_ev, or look at the configuration'
        )


def _fingerprint(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.md5(gzip.decompress(content) if path.suffix == '.gz' else content).hexdigest()


def _atoms(configuration: Configuration) -> Any:
    from ase import Atoms

    return Atoms(
        numbers=configuration.numbers,
        positions=configuration.positions,
        cell=configuration.cell,
        pbc=configuration.pbc,
    )


def _filled(cell: Any) -> Any:
    """Return a cell with a vector of unit length where it has none, (3, 3) in Ang."""
    return cell.complete().array


def _not_converged() -> tuple[type[Exception], ...]:
    import gpaw

    return gpaw.ConvergenceError, gpaw.KohnShamConvergenceError


def _was_the_start(error: Exception) -> bool:
    """Return whether a start from atoms may do better: the other was a bad one, or of a symmetry that is gone."""
    return isinstance(error, _not_converged()) or 'symmetry' in str(error).lower()
