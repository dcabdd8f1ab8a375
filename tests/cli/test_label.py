"""What ``launch label`` makes of its arguments, without a DFT code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from aiida.orm import InstalledCode, StructureData
from ase import Atoms

from aiida_litraj.cli.configurations import load_configurations
from aiida_litraj.cli.convergence import convergence_line, print_convergence
from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.label import collect_overrides, label_line, print_labels
from aiida_litraj.codes.dft import choose_dft_code
from aiida_litraj.codes.problems import SetupProblem
from aiida_litraj.report.convergence import draw_convergence
from aiida_litraj.report.energy_profile import Caption
from aiida_litraj.report.labels import draw_labels
from tests.fixtures.dft import frames_of, li2o

NONE = {'overrides': (), 'cutoffs': None, 'spacings': None, 'meshes': None, 'sample': None}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A crystal, and three configurations in one file, two of which have names."""
    li2o().write(tmp_path / 'one.cif')
    images = [li2o(rattle=0.1, seed=seed) for seed in range(3)]
    images[0].info['entry_id'] = images[1].info['entry_id'] = 'same'
    images[2].info['material_id'] = 'other'
    import ase.io

    ase.io.write(tmp_path / 'many.xyz', images)
    return [str(tmp_path / 'one.cif'), str(tmp_path / 'many.xyz')]


def test_configurations_of_files_and_nodes(aiida_profile_clean: Any, files: list[str]) -> None:
    structure = StructureData(ase=li2o(4.5), label='mine').store()
    found = load_configurations([*files, str(structure.pk)])
    assert found.n_frames == 5
    # Entries of a set have names of their own.
    assert found.entry_ids == ['one', 'same', 'same-2', 'many_2', 'mine']
    assert found.base.attributes.get('material_ids') == ['Li2O', 'Li2O', 'Li2O', 'other', 'Li2O']
    np.testing.assert_allclose(found.frames[3].positions, li2o(rattle=0.1, seed=2).positions, atol=1e-7)
    # The same files are the same node, so that labels of before are found in the cache; a node is itself.
    assert load_configurations([*files, str(structure.pk)]).uuid == found.uuid
    assert load_configurations([str(found.pk)]).uuid == found.uuid


def test_rattled_by_a_seed(aiida_profile_clean: Any, files: list[str]) -> None:
    still, first, again, other = (
        load_configurations(files[:1], amount, seed) for amount, seed in ((0.0, 0), (0.1, 1), (0.1, 1), (0.1, 2))
    )
    assert first.uuid == again.uuid and first.uuid != other.uuid
    moved = first.frames.positions - still.frames.positions
    assert 0.02 < np.sqrt(np.square(moved).mean()) < 0.3
    assert first.frames.info[0]['rattle_seed'] == 1
    # What was read of the crystal is not true of its displaced atoms.
    assert 'unit_cell' in still.frames.info[0] and not {'unit_cell', 'spacegroup'} & set(first.frames.info[0])
    # Each is an entry of its own in a set.
    assert [one.entry_ids for one in (still, first, other)] == [['one'], ['one_rattled_0.1_1'], ['one_rattled_0.1_2']]
    assert first.base.attributes.get('material_ids') == ['Li2O']


def test_what_is_no_configuration_is_refused(aiida_profile_clean: Any, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match='not there'):
        load_configurations([str(tmp_path / 'nothing.cif')])
    broken = tmp_path / 'broken.xyz'
    broken.write_text('3\nno atoms follow\n')
    with pytest.raises(Refusal, match=r'broken\.xyz cannot be read'):
        load_configurations([str(broken)])
    with pytest.raises(Refusal, match='are a folder'):
        load_configurations([str(tmp_path)])
    poscar = tmp_path / 'POSCAR'
    poscar.write_text('')
    with pytest.raises(Refusal, match='cannot be read') as refused:
        load_configurations([str(tmp_path / '.' / 'POSCAR')])
    assert 'Error' not in str(refused.value)
    molecule = tmp_path / 'molecule.xyz'
    Atoms('LiH', positions=[[0, 0, 0], [0, 0, 1.6]]).write(molecule)
    with pytest.raises(Refusal, match='has no cell'):
        load_configurations([str(molecule)])


def test_lists_of_the_command_line() -> None:
    found = collect_overrides({**NONE, 'cutoffs': '340,520', 'meshes': '1x1x1,2x2x1', 'sample': 2})
    grid = {'cutoffs_ev': [340.0, 520.0], 'kpoint_meshes': [[1, 1, 1], [2, 2, 1]], 'n_sample': 2}
    assert found == {'grid': {**grid, 'kpoint_spacings_per_ang': []}}
    for wrong in ({'cutoffs': '340;520'}, {'meshes': '2x2'}, {'meshes': 'axbxc'}):
        with pytest.raises(click.UsageError, match='does not parse'):
            collect_overrides({**NONE, **wrong})


ROW: dict[str, Any] = {
    'name': 'ev340_k0_4', 'cutoff_ev': 340.0, 'kpoints': '0.4', 'mesh': [2, 2, 2], 'finest': False, 'own': True,
    'n_frames': 3, 'energy_mev_per_atom': -12.3, 'energy_spread_mev_per_atom': 0.4, 'rmse_force_mev_per_ang': 5.6,
    'max_force_mev_per_ang': 9.9, 'max_stress_gpa': 0.21,
}  # fmt: skip


def test_a_table_of_convergence(capsys: pytest.CaptureFixture[str]) -> None:
    last = {**ROW, 'cutoff_ev': 700.0, 'finest': True, 'own': False, 'rmse_force_mev_per_ang': 0.0}
    failed = {**ROW, 'name': 'ev200', 'cutoff_ev': 200.0, 'own': False, 'n_frames': 0, 'reason': 'refused: too low'}
    result = {
        'series': {'cutoff': [failed, ROW, last]}, 'n_frames': 3, 'code': 'gpaw@localhost', 'protocol': 'balanced',
        'level': {'functional': 'PBE'}, 'pk': 1, 'uuid': 'u',
    }  # fmt: skip
    assert convergence_line(result) == 'Forces off the finest by cutoff 5.6 meV/Å'
    print_convergence(result)
    said = capsys.readouterr().out
    assert 'no labels' in said and '-12.30' in said and '0.210' in said and '← the level' in said
    assert 'ev200: refused: too low' in said
    figure = draw_convergence(result['series'], Caption('title'))
    (panel,) = figure.axes
    # Only what was compared, and not the finest with itself.
    assert {tuple(line.get_ydata()) for line in panel.lines[:3]} == {(5.6,), (12.3,), (0.21,)}
    with pytest.raises(ValueError, match='nothing to draw'):
        draw_convergence({'cutoff': [failed, last]}, Caption('title'))


def test_table_says_what_came_from_the_cache_and_what_did_not_join(capsys: pytest.CaptureFixture[str]) -> None:
    item: dict[str, Any] = {'formula': 'Li2O', 'status': 'labelled', 'attempts': 1, 'label': None, 'reason': ''}
    items = [
        {**item, 'index': 0, 'entry_id': 'new', 'from_cache': False, 'elapsed_seconds': 31.0},
        {
            **item,
            'index': 1,
            'entry_id': 'same',
            'from_cache': True,
            'reason': 'mine has had same already, which stays',
        },
    ]
    print_labels({
        'labelled': 2, 'failed': 0, 'code': 'gpaw@localhost', 'version': '1', 'protocol': 'fast', 'dataset': 'mine',
        'frames_pk': 1, 'pk': 2, 'uuid': 'u', 'items': items, 'warnings': [],
        'level': {'functional': 'PBE', 'cutoff_ev': 340.0, 'kpoint_mesh': [2, 2, 1]},
    })  # fmt: skip
    said = capsys.readouterr().out
    new, same = (next(line for line in said.splitlines() if f' {name} ' in line) for name in ('new', 'same'))
    assert '31' in new and 'cache' not in new and 'not in the set' not in new
    assert 'cache' in same and 'not in the set' in same
    assert 'PBE, 340 eV, k-points 2x2x1' in said and 'mine has had same already' in said


def test_a_code_that_is_misspelt(aiida_profile_clean: Any, aiida_localhost: Any) -> None:
    InstalledCode(
        label='gpaw', computer=aiida_localhost, filepath_executable='/bin/true', default_calc_job_plugin='ase.ase'
    ).store()
    with pytest.raises(SetupProblem) as refused:
        choose_dft_code('gpw')
    assert refused.value.remedy == 'Did you mean gpaw?'
    with pytest.raises(SetupProblem) as refused:
        choose_dft_code('siesta')
    assert 'setup-dft' in refused.value.remedy


def test_a_figure_of_labels() -> None:
    frames = frames_of(li2o(), li2o(4.7)).frames
    with pytest.raises(ValueError, match='no energies'):
        draw_labels(frames, Caption('title'))
    from dataclasses import replace

    forces = np.zeros((6, 3))
    forces[3, 0] = 3.0
    figure = draw_labels(replace(frames, energies=np.array([-9.0, -6.0]), forces=forces), Caption('title'))
    points = figure.axes[0].collections[0].get_offsets()
    # Root mean square over nine components; three eV of three atoms above the lowest.
    np.testing.assert_allclose(points, [[0.0, 0.0], [1.0, 1000.0]])
    # Of one formula nothing beside the points; of two a frame outside of the axes.
    assert not figure.legends and figure.axes[0].get_legend() is None
    sodium = li2o(4.7)
    sodium.symbols[1] = 'Na'
    two = replace(frames_of(li2o(), sodium).frames, energies=np.array([-9.0, -6.0]), forces=forces)
    (legend,) = draw_labels(two, Caption('title')).legends
    assert legend.get_frame_on() and [one.get_text() for one in legend.get_texts()] == ['Li2O', 'LiNaO']
    assert label_line({'labelled': 2, 'failed': 1}) == '2 of 3 configurations labelled, 1 failed'
