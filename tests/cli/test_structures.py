"""Crystals from files and nodes; what can't be a crystal for a hop is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.structures import load_structure, read_crystal

CRYSTALS = Path(__file__).parents[2] / 'examples' / 'structures'
PARTIAL = """data_x
_cell_length_a 4.0
_cell_length_b 4.0
_cell_length_c 4.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Li1 Li 0.0 0.0 0.0 1.0
Li7 Li 0.5 0.5 0.5 0.3000(5)
"""


@pytest.mark.parametrize('name', ['crystal.cif', 'POSCAR', 'crystal.xyz'])
def test_formats_keep_the_order_of_the_atoms(tmp_path: Path, name: str) -> None:
    crystal = bulk('NaCl', 'rocksalt', a=5.64)
    crystal.write(tmp_path / name)
    read = read_crystal(tmp_path / name)
    assert read.get_chemical_symbols() == ['Na', 'Cl']
    np.testing.assert_allclose(read.get_distance(0, 1, mic=True), crystal.get_distance(0, 1, mic=True), atol=1e-5)


def test_sites_of_the_example_are_in_the_order_of_the_file() -> None:
    crystal = read_crystal(CRYSTALS / 'Li3PO4_gamma.cif')
    assert len(crystal) == 32
    assert {crystal.symbols[site] for site in (0, 6)} == {'Li'}


def test_partial_occupancy_is_refused_with_the_site(tmp_path: Path) -> None:
    (tmp_path / 'partial.cif').write_text(PARTIAL)
    with pytest.raises(Refusal, match=r'the site Li7 in .*partial\.cif is only partially occupied \(0\.3\)'):
        read_crystal(tmp_path / 'partial.cif')


def test_rounded_full_occupancy_is_full(tmp_path: Path) -> None:
    (tmp_path / 'full.cif').write_text(PARTIAL.replace('0.3000(5)', '0.9995'))
    assert len(read_crystal(tmp_path / 'full.cif')) == 2


@pytest.mark.parametrize('name', ['a.cif', 'a.xyz', 'POSCAR'])
def test_what_is_no_structure_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('shopping list\n')
    with pytest.raises(Refusal, match=r'cannot be read|has no cell'):
        read_crystal(tmp_path / name)


def test_molecule_is_refused(tmp_path: Path) -> None:
    molecule('H2O').write(tmp_path / 'water.xyz')
    with pytest.raises(Refusal, match=r'water\.xyz has no cell'):
        read_crystal(tmp_path / 'water.xyz')


@pytest.mark.usefixtures('aiida_profile_clean')
class TestNodes:
    def test_same_file_gives_the_same_node(self) -> None:
        node = load_structure(str(CRYSTALS / 'Li2S.cif'))
        assert load_structure(str(CRYSTALS / 'Li2S.cif')).uuid == node.uuid
        assert load_structure(str(node.pk)).uuid == load_structure(node.uuid).uuid == node.uuid
        assert load_structure(str(CRYSTALS / 'Li2O.cif')).uuid != node.uuid

    @pytest.mark.parametrize('text', ['nowhere.cif', './nowhere', '/nowhere/POSCAR'])
    def test_missing_file_is_named(self, text: str) -> None:
        with pytest.raises(Refusal, match=f'{text} is not there: no such file'):
            load_structure(text)

    def test_neither_file_nor_node(self) -> None:
        with pytest.raises(Refusal, match="'999999' is neither a file nor the pk or uuid of a node"):
            load_structure('999999')

    def test_node_of_another_kind(self) -> None:
        from aiida.orm import Int

        with pytest.raises(Refusal, match=r'is a Int, not a structure'):
            load_structure(str(Int(3).store().pk))


def test_atoms_outside_the_cell_stay_where_they_are(tmp_path: Path) -> None:
    """A hop is a vector between positions as the file gives them."""
    crystal: Any = Atoms('Li2', [[0.1, 0, 0], [4.2, 0, 0]], cell=[4, 4, 4], pbc=True)
    crystal.write(tmp_path / 'out.xyz')
    np.testing.assert_allclose(read_crystal(tmp_path / 'out.xyz').positions, crystal.positions)
