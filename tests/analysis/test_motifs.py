"""Anions of crystals whose formula says what they are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from aiida_litraj.analysis.motifs import P_P_ANG, P_S_ANG, Motifs, count_motifs

CRYSTALS = Path(__file__).parents[2] / 'aiida_litraj' / 'datasets' / 'make' / 'crystals'


def motifs_of(atoms: Atoms, **cutoffs: float) -> Motifs:
    return count_motifs(list(atoms.symbols), [atoms.positions], [np.asarray(atoms.cell)], atoms.pbc, **cutoffs)


@pytest.mark.parametrize(
    ('name', 'ps4', 'p2s7', 'p2s6', 'other'),
    [
        ('Li3PS4_gamma.cif', 2, 0, 0, 0),
        ('Li3PS4_beta.cif', 4, 0, 0, 0),
        ('Li7P3S11.cif', 2, 2, 0, 0),  # one of each in a formula, two formulas in the cell
        ('obelix/0iv.cif', 0, 0, 1, 0),  # Li4P2S6
        ('Li2P2S6.cif', 0, 0, 0, 2),  # two PS4 that share an edge
    ],
)
@pytest.mark.parametrize('repeat', [(1, 1, 1), (2, 1, 2)])
def test_crystals(name: str, ps4: int, p2s7: int, p2s6: int, other: int, repeat: tuple[int, int, int]) -> None:
    """In any supercell, with atoms moved by as much as bonds swing, and pushed into other cells."""
    crystal, copies = read(CRYSTALS / name), int(np.prod(repeat))
    atoms = crystal.repeat(repeat)
    generator = np.random.default_rng(0)
    atoms.positions += generator.uniform(-0.05, 0.05, atoms.positions.shape)
    atoms.positions += generator.integers(-2, 3, atoms.positions.shape) @ np.asarray(atoms.cell)
    found = motifs_of(atoms)
    numbers = [int(one[0]) for one in (found.ps4, found.p2s7, found.p2s6, found.other)]
    assert numbers == [copies * one for one in (ps4, p2s7, p2s6, other)]
    assert found.free_sulfur[0] == 0
    assert sum(found.shares().values()) == pytest.approx(1.0)


def test_shares_count_phosphorus() -> None:
    found = motifs_of(read(CRYSTALS / 'Li7P3S11.cif'))
    assert found.shares() == pytest.approx({'PS4': 1 / 3, 'P2S7': 2 / 3, 'P2S6': 0.0, 'other': 0.0})


def test_damage_is_other_and_free_sulphur_is_counted() -> None:
    crystal = read(CRYSTALS / 'Li3PS4_gamma.cif')
    phosphorus = next(atom.index for atom in crystal if atom.symbol == 'P')
    sulphur = next(
        atom.index
        for atom in crystal
        if atom.symbol == 'S' and crystal.get_distance(phosphorus, atom.index, True) < 2.5
    )
    # One S is gone from its P.
    broken = crystal.repeat((2, 2, 2))
    del broken[sulphur]
    assert motifs_of(broken).other[0] == 1
    broken = Atoms('LiS', [(0, 0, 0), (4, 4, 4)], cell=8 * np.eye(3), pbc=True) + Atoms('P', [(4, 0, 0)])
    found = motifs_of(broken)
    assert (found.other[0], found.free_sulfur[0]) == (1, 1)


def bent(*atoms: tuple[str, tuple[float, float, float]]) -> Motifs:
    """Motifs of a molecule in a wide cell."""
    return motifs_of(
        Atoms([symbol for symbol, _ in atoms], [place for _, place in atoms], cell=30 * np.eye(3), pbc=True)
    )


def test_a_chain_of_three_is_other() -> None:
    """P3S10: two sulphur bridges in a row."""
    places: list[tuple[str, tuple[float, float, float]]] = []
    for number in range(3):
        places.append(('P', (3.6 * number, 0.0, 0.0)))
        places += [('S', (3.6 * number, 1.4, 1.4)), ('S', (3.6 * number, -1.4, -1.4))]
    places += [('S', (3.6 * number - 1.8, 0.0, 0.3)) for number in range(4)]
    found = bent(*places)
    assert (found.ps4[0], found.p2s7[0], found.p2s6[0], found.other[0]) == (0, 0, 0, 3)


def test_cutoffs_decide() -> None:
    crystal = read(CRYSTALS / 'obelix' / '0iv.cif')
    assert motifs_of(crystal, p_p_ang=2.0).other[0] == 2
    assert motifs_of(crystal, p_s_ang=1.5).free_sulfur[0] == 6
    assert P_P_ANG < P_S_ANG


@pytest.mark.parametrize(
    ('symbols', 'n_frames', 'cutoff', 'message'),
    [('LiS', 1, 2.5, 'made of P and S'), ('PS', 0, 2.5, 'no frames'), ('PS', 1, 0.0, 'must be positive')],
)
def test_bad_input_is_refused(symbols: str, n_frames: int, cutoff: float, message: str) -> None:
    atoms = Atoms(symbols, np.zeros((2, 3)), cell=np.eye(3), pbc=True)
    with pytest.raises(ValueError, match=message):
        count_motifs(
            list(atoms.symbols), [atoms.positions] * n_frames, [np.eye(3)] * n_frames, atoms.pbc, p_s_ang=cutoff
        )
