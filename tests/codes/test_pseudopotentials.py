"""Families of pseudopotentials from a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.pseudopotentials import choose_files, default_label, install_family
from tests.data.test_upf import second


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, changes in {
        'Li.pbesol-paw.0.2.upf': {},
        'Li.pbesol-paw.1.10.UPF': {},
        'Li.pbesol-paw.1.9.UPF': {},
        'Li.pbesol-us.9.UPF': {'kind': 'USPP'},
        'Li.rel-pbesol-paw.9.UPF': {'relativistic': 'full'},
        'O.pbesol-nc.UPF': {'element': 'O', 'kind': 'NC'},
        'O.pbe-paw.UPF': {'element': 'O', 'functional': 'PBE'},
    }.items():
        (tmp_path / name).write_text(f'{second(**changes)}{name}')
    (tmp_path / 'README.txt').write_text('of no interest')
    (tmp_path / 'damaged.UPF').write_text('no header')
    return tmp_path


def test_one_file_for_each_element(folder: Path) -> None:
    choice = choose_files(folder, 'PBEsol')
    # PAW before ultrasoft, the highest version first: 1.10 is above 1.9.
    assert {key: file.path.name for key, file in choice.chosen.items()} == {
        'Li': 'Li.pbesol-paw.1.10.UPF',
        'O': 'O.pbesol-nc.UPF',
    }
    assert choice.passed_over['Li'][:2] == ['Li.pbesol-paw.1.9.UPF', 'Li.pbesol-paw.0.2.upf']
    assert 'rel' not in ' '.join(choice.passed_over['Li'])
    assert choice.unread == ['damaged.UPF: it has no PP_HEADER: not a file in the format UPF']
    assert default_label('PBEsol', choice) == 'PBEsol-mixed'
    assert choose_files(folder, 'PBEsol', 'us').chosen['Li'].path.name == 'Li.pbesol-us.9.UPF'


def test_what_is_missing_is_named_with_what_is_there_instead(folder: Path) -> None:
    with pytest.raises(SetupProblem, match=r'pseudopotential of S for PBEsol') as problem:
        choose_files(folder, 'PBEsol', elements=['Li', 'S'])
    assert 'sssp' in str(problem.value.remedy)
    with pytest.raises(SetupProblem, match=r'PAW pseudopotential of O for PBEsol; it has O PBE paw, O PBEsol nc'):
        choose_files(folder, 'PBEsol', 'paw', ['Li', 'O'])
    with pytest.raises(SetupProblem, match='is not there'):
        choose_files(folder / 'nowhere', 'PBEsol')


def test_a_family_is_made_once_and_grows(aiida_profile_clean: Any, folder: Path) -> None:
    made = install_family('mine', choose_files(folder, 'PBEsol', elements=['Li']))
    assert made.state == 'new' and made.family.elements == ['Li']
    # Ry, by the attribute and by the text of the file.
    assert made.family.get_cutoffs('suggested')['Li'] == {'cutoff_wfc': 75.0, 'cutoff_rho': 355.0}
    again = install_family('mine', choose_files(folder, 'PBEsol', elements=['Li']))
    assert again.state == 'same' and again.family.uuid == made.family.uuid
    more = install_family('mine', choose_files(folder, 'PBEsol'))
    assert more.state == 'extended' and sorted(more.family.elements) == ['Li', 'O']
    with pytest.raises(SetupProblem, match="'mine' has another pseudopotential for Li: Li"):
        install_family('mine', choose_files(folder, 'PBEsol', 'us'))
