"""Sets of labels, and of the configurations on the way to a path: who may join, and that they are sets like others."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiida.orm import Dict, StructureData, load_node
from ase.io import read
from click.testing import CliRunner

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.calculations.functions.collect_label import collect_label
from aiida_litraj.cli import main
from aiida_litraj.contract.gpaw import GpawOptions
from aiida_litraj.contract.level import Level
from aiida_litraj.contract.neb import NebItemResult
from aiida_litraj.data import PathData, PotentialData
from aiida_litraj.data.frames import FramesData
from aiida_litraj.groups.configurations import check_path_name, is_member, join_block
from aiida_litraj.groups.dataset import DatasetGroup
from aiida_litraj.groups.duplicates import duplicates_in, launch_warning
from aiida_litraj.groups.labelled import check_entries, check_joinable, join
from aiida_litraj.groups.verify import verify
from aiida_litraj.parsers.neb import configurations_of, hop_of, level_of
from aiida_litraj.workflows.backends import base
from tests.fixtures.dft import li2o
from tests.fixtures.label_backend import SpringsBackend, springs, springs_level
from tests.fixtures.nodes import Job, surface_path

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
SETUPS = {'setups': 'PBE'}


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Springs take the place of GPAW, so that their labels are of its level."""
    entry = SimpleNamespace(name='gpaw', load=lambda: SpringsBackend)
    monkeypatch.setattr(base, 'entry_points', lambda group: [entry] if group == base.GROUP else [])


def label_of(entry_id: str, seed: int = 0, beside: Any = SETUPS, splits: Any = None, **level: Any) -> FramesData:
    """Return a label as the chain makes it."""
    labels = {'entry_ids': [entry_id], 'material_ids': ['Li2O'], **({'splits': splits} if splits else {})}
    frames = FramesData.from_frames(from_ase([li2o(rattle=0.1, seed=seed)]), labels).store()
    about = {'index': 0, 'entry_id': entry_id, 'backend': 'gpaw', 'level': springs_level(**level), 'beside': beside}
    array = springs(StructureData(ase=frames.to_ase()[0]).store())
    made: FramesData = collect_label(frames=frames, about=Dict({**about, 'dataset': 'mine'}), array=array)
    return made


def gpaw(**level: Any) -> PotentialData:
    options = GpawOptions(level=Level.model_validate(springs_level(**level)))
    return PotentialData.packaged('gpaw', 'gpaw', options=options.to_options())


def path_of(way: float = 2.0, **labels: Any) -> PathData:
    """Return a hop of a lithium ion beside an oxygen atom."""
    positions = np.zeros((3, 2, 3))
    positions[:, 0, 0], positions[:, 1] = np.linspace(0.0, way, 3), 3.0
    return PathData.from_arrays(['Li', 'O'], positions, 6.0 * np.eye(3), [True] * 3, mobile=0, labels=labels)


def item_of(name: str, status: str = 'finished', converged: bool = True) -> NebItemResult:
    return NebItemResult(id=name, status=status, converged=converged)  # type: ignore[arg-type]


@pytest.fixture
def block(job_node: Any) -> Any:
    """``block(path, name, ...)`` are the configurations on the way to a path, as a job of GPAW leaves them."""

    def make(
        path: PathData,
        name: str,
        n: int = 3,
        potential: PotentialData | None = None,
        audit: Any = None,
        **ended: Any,
    ) -> FramesData:
        numbers = np.random.default_rng(len(name))
        arrays = {
            'positions': path.get_positions()[:1] + 0.1 * numbers.random((n, 2, 3)),
            'energies': numbers.random(n),
            'forces': numbers.random((n, 2, 3)),
            'stages': np.full(n, 2),
            'steps': np.arange(n),
            'images': np.ones(n, dtype=int),
        }
        used = potential or gpaw()
        node = configurations_of(path, arrays, item_of(name, **ended), used, audit)
        job = job_node({'potential': used}, Job(0, outputs={'configurations': {name: node}}))
        job.seal()
        return node

    return make


def ask(*arguments: Any) -> Any:
    done = CliRunner().invoke(main, ['dataset', *map(str, arguments), '--json'])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def mixed(block: Any) -> list[FramesData]:
    """A set of two labels and the three configurations of a hop."""
    members = [label_of('a', 0), label_of('b', 1), block(path_of(material_id='Li2O'), 'hop')]
    assert [join('mine', members[0]), join('mine', members[1]), join_block('mine', members[2])] == [None, None, None]
    return members


@pytest.mark.parametrize(('kind', 'energy'), [('extxyz-mace', 'REF_energy'), ('extxyz', 'energy')])
def test_labels_and_hops_are_exported_to_train_on(
    mixed: list[FramesData], tmp_path: Path, kind: str, energy: str
) -> None:
    path = tmp_path / 'train.xyz'
    assert ask('export', 'mine', '--format', kind, '-o', path)['entries'] == 5
    wanted = [frame for node in mixed for frame in node.frames]
    found = read(path, ':')
    assert len(found) == 5
    for atoms, frame in zip(found, wanted, strict=True):
        forces = atoms.arrays['REF_forces'] if kind == 'extxyz-mace' else atoms.get_forces()
        np.testing.assert_allclose(atoms.positions, frame.positions, rtol=0, atol=1e-8)
        np.testing.assert_allclose(forces, frame.forces, rtol=0, atol=1e-8)
        said = atoms.info[energy] if kind == 'extxyz-mace' else atoms.get_potential_energy()
        assert said == pytest.approx(frame.energies[0], rel=1e-15)


def test_a_set_of_labels_alone_is_exported_and_shown(tmp_path: Path) -> None:
    labels = [label_of(name, seed) for seed, name in enumerate('ab')]
    assert [join('labels', label) for label in labels] == [None, None]
    assert ask('export', 'labels', '--format', 'extxyz-mace', '-o', tmp_path / 'x.xyz')['entries'] == 2
    # Without a layout of a publisher it is extended xyz, which ASE reads; so is one label by its pk.
    done = ask('export', 'labels', '-o', tmp_path / 'plain.xyz')
    assert (done['format'], done['entries'], len(read(tmp_path / 'plain.xyz', ':'))) == ('extxyz', 2, 2)
    back = read(tmp_path / 'plain.xyz', ':')[0]
    (first,) = [one for one in labels if one.uuid == back.info['uuid']]
    level = first.base.attributes.get('level')
    assert back.info['entry_id'] == first.base.attributes.get('entry_id')
    assert back.info['level'].startswith(f'PBE, {level["cutoff_ev"]:g} eV, k-points ')
    one = labels[1]
    ask('export', one.pk, '-o', tmp_path / 'one.xyz')
    back = read(tmp_path / 'one.xyz')
    assert back.get_potential_energy() == pytest.approx(one.frames.energies[0], rel=1e-15)
    np.testing.assert_allclose(back.get_forces(), one.frames.forces, rtol=0, atol=1e-8)
    assert ask('query', 'labels')


def test_show_tells_the_level_of_labels_and_that_levels_are_mixed() -> None:
    for seed, name in enumerate('ab'):
        join('labels', label_of(name, seed))
    level = {'functional': 'PBE', 'cutoff_ev': 340.0, 'code': 'gpaw', 'setups': 'PBE', 'n_labels': 2}
    level |= {key: value for key, value in springs_level().items() if key in ('functional', 'cutoff_ev')}
    (told,) = ask('show', 'labels')['levels']
    assert {key: told[key] for key in level} == level
    said = CliRunner().invoke(main, ['dataset', 'show', 'labels'])
    assert (
        f'{level["functional"]}, {level["cutoff_ev"]:g} eV' in said.output and 'gpaw 1, set-ups of PBE' in said.output
    )
    assert 'mixed' not in said.output
    DatasetGroup.of('labels').add_nodes([label_of('c', 2, functional='PBEsol')])  # what join would not do
    mixed = CliRunner().invoke(main, ['dataset', 'show', 'labels'])
    assert ': 2 labels' in mixed.output and 'PBEsol' in mixed.output and ': 1 label\n' in mixed.output
    assert 'levels are mixed' in mixed.stderr


def test_configuration_under_two_names_is_told_at_the_launch_and_in_show() -> None:
    for name, seed in (('a', 0), ('b', 1), ('a-too', 0)):
        join('labels', label_of(name, seed))
    assert duplicates_in('labels') == [['a', 'a-too']]
    told = '1 configuration is there again under another name: a = a-too'
    assert told in CliRunner().invoke(main, ['dataset', 'show', 'labels']).stderr

    def of(*names: str, seeds: tuple[int, ...]) -> FramesData:
        return FramesData.from_frames(from_ase([li2o(rattle=0.1, seed=one) for one in seeds]), {'entry_ids': names})

    # In the set under another name, or twice among what is to be labelled; one that is there is no second.
    assert launch_warning('labels', of('c', 'd', seeds=(1, 2))) == (
        '1 configuration is there again under another name: c = b; each is labelled, and counts as often in errors and '
        'trainings'
    )
    assert 'c = d' in str(launch_warning(None, of('c', 'd', seeds=(5, 5))))
    assert launch_warning('labels', of('b', seeds=(1,))) is None and launch_warning('new', of('c', seeds=(1,))) is None


def test_show_repeats_the_warning_of_a_cutoff(monkeypatch: pytest.MonkeyPatch) -> None:
    join('labels', label_of('a'))
    assert 'level.cutoff_ev' not in CliRunner().invoke(main, ['dataset', 'show', 'labels']).stderr
    monkeypatch.setattr(
        SpringsBackend, 'wanted_cutoffs', lambda self, settings, of: dict.fromkeys(of, (900.0, 'springs want'))
    )
    said = CliRunner().invoke(main, ['dataset', 'show', 'labels']).stderr
    assert 'level.cutoff_ev = 300 is less than springs want (Li, O 900 eV)' in said and 'energies are wrong' in said


def test_they_are_verified_and_archived(mixed: list[FramesData], tmp_path: Path, aiida_profile: Any) -> None:
    found = verify('mine')
    assert found.ok, found.problems
    assert (found.nodes, found.entries) == (3, 5)
    assert 'each node is a label, made by a finished calculation' in found.checked
    done = ask('export', 'mine', '--format', 'archive', '-o', tmp_path / 'mine.aiida')
    assert done['entries'] == 5
    from aiida.tools.archive import import_archive

    aiida_profile.reset_storage()
    import_archive(tmp_path / 'mine.aiida')
    assert DatasetGroup.of('mine').count() == 3 and verify('mine').ok


def test_a_selection_keeps_band_and_material_together(mixed: list[FramesData]) -> None:
    done = ask('select', 'mine', '-n', 5)
    (part,) = done['parts'].values()
    selection = load_node(part['uuid'])
    assert selection.n_frames == 5
    assert selection.base.attributes.get('material_ids') == ['Li2O'] * 5
    assert selection.base.attributes.get('trajectory_ids').count('hop') == 3
    assert selection.base.attributes.get('datasets') == ['mine']


def test_bootstraps_draw_whole_bands(block: Any) -> None:
    from aiida_litraj.calculations.functions.compare_labels import groups_of

    node = block(path_of(), 'hop')
    assert groups_of(node, node.frames, 'auto') == ('trajectory', ['trajectory hop'] * 3)
    of_material = block(path_of(material_id='Li2O'), 'other')
    assert groups_of(of_material, of_material.frames, 'auto')[0] == 'material'


def test_labels_of_other_set_ups_or_pseudopotentials_do_not_join(monkeypatch: pytest.MonkeyPatch) -> None:
    assert join('mine', label_of('a')) is None
    level = {**springs_level(), **SETUPS, 'code': 'gpaw'}
    check_joinable('mine', level)
    with pytest.raises(ValueError, match=r'another level \(setups PBE there and LDA here\)'):
        check_joinable('mine', {**level, 'setups': 'LDA'})
    with pytest.raises(ValueError, match=r'pseudopotential of Li none there and md5 1 here'):
        check_joinable('mine', {**level, 'pseudopotentials': {'O': 'md5 0', 'Li': 'md5 1'}})
    check_joinable('mine', {**level, 'pseudopotentials': {'S': 'md5 1'}})  # no label there has sulfur
    # What is known only when the code has run, as with set-ups of another version, is seen by who lets in.
    read_label = SpringsBackend.read

    def other(self: SpringsBackend, nodes: Any) -> Any:
        from dataclasses import replace

        return replace(read_label(self, nodes), pseudopotentials={'Li': 'of another version'})

    monkeypatch.setattr(SpringsBackend, 'read', other)
    stranger = label_of('b', 1)
    told = join('mine', stranger)
    assert told is not None and 'pseudopotential of Li none there and of another version here' in told
    assert not is_member('mine', stranger)


def audit_of(version: str = '1', **setups: str) -> dict[str, Any]:
    """Return what the engine tells of a run with GPAW, as far as it matters here."""
    return {'packages': {'gpaw': version}, 'potential': {'pseudopotentials': setups}}


def test_hops_and_labels_of_the_same_code_are_of_one_level(block: Any) -> None:
    label, same = label_of('a'), block(path_of(), 'hop', audit=audit_of(Li='none', S='of no atom here'))
    assert join('mine', label) is join_block('mine', same) is None
    of_label, of_hop = (node.base.attributes.get('level') for node in (label, same))
    told = ('code', 'version', 'pseudopotentials', 'setups', 'functional', 'cutoff_ev')
    assert [of_hop[key] for key in told] == [of_label[key] for key in told]
    other = block(path_of(), 'other', audit=audit_of(Li='of another file'))
    assert 'pseudopotential of Li none there and of another file here' in str(join_block('mine', other))
    assert not is_member('mine', other)
    # Where the hop was first, it is the label that stays outside.
    assert join_block('hops', other) is None
    assert 'pseudopotential of Li of another file there and none here' in str(join('hops', label))
    # A hop from before the engine told of them is let in, as it was.
    old = block(path_of(), 'old', audit={'packages': {}, 'potential': {}})
    assert not {'version', 'pseudopotentials'} & set(old.base.attributes.get('level'))
    assert join_block('mine', old) is None and is_member('mine', old)
    assert 'pseudopotentials' not in block(path_of(), 'none').base.attributes.get('level')


def test_labels_of_two_versions_of_a_code_are_told(block: Any) -> None:
    assert join('mine', label_of('a')) is None
    assert 'versions of' not in CliRunner().invoke(main, ['dataset', 'show', 'mine']).stderr
    assert join_block('mine', block(path_of(), 'hop', audit=audit_of('2', Li='none'))) is None
    said = CliRunner().invoke(main, ['dataset', 'show', 'mine'])
    assert 'labels are of 2 versions of gpaw: 1, 2' in said.stderr and 'gpaw 1 and 2, set-ups of PBE' in said.output
    assert 'levels are mixed' not in said.stderr


def test_where_no_mesh_is_of_the_cell_meshes_are_compared() -> None:
    explicit = {'kpoint_spacing_per_ang': None, 'kpoint_mesh': [4, 4, 4]}
    assert join('mine', label_of('a', **explicit)) is None
    level = {**springs_level(**explicit), **SETUPS, 'code': 'gpaw'}
    check_joinable('mine', level)
    with pytest.raises(ValueError, match=r'kpoint_mesh \[4, 4, 4\] there and \[1, 1, 1\] here'):
        check_joinable('mine', {**level, 'kpoint_mesh': [1, 1, 1]})
    assert join('mine', label_of('b', 1, kpoint_spacing_per_ang=None, kpoint_mesh=[1, 1, 1])) is not None
    with pytest.raises(ValueError, match='kpoint_mesh'):
        check_joinable('mine', level_of(gpaw(kpoint_spacing_per_ang=None, kpoint_mesh=[2, 2, 2])))
    # By a spacing each cell has a mesh of its own.
    assert join('by spacing', label_of('a')) is None
    check_joinable('by spacing', {**springs_level(), 'kpoint_mesh': [9, 9, 9], 'code': 'gpaw'})


def test_grids_that_follow_the_symmetry_are_another_level() -> None:
    assert join('mine', label_of('a', beside={**SETUPS, 'point_group': True})) is None
    level = {**springs_level(), **SETUPS, 'code': 'gpaw'}
    check_joinable('mine', {**level, 'point_group': True})
    with pytest.raises(ValueError, match='point_group True there and False here'):
        check_joinable('mine', {**level, 'point_group': False})
    with pytest.raises(ValueError, match='point_group True there and False here'):
        check_joinable('mine', level_of(gpaw()))


def test_names_that_a_set_has_given_to_others_are_refused(mixed: list[FramesData]) -> None:
    same = from_ase([li2o(rattle=0.1, seed=0)])
    check_entries('mine', {'a': same, 'new': same})
    check_entries('nowhere', {'a': same})
    with pytest.raises(ValueError, match=r"'mine' has an entry 'b' that is another configuration.*another entry_id"):
        check_entries('mine', {'a': same, 'b': same})
    with pytest.raises(ValueError, match='hop_band_0001_1'):
        check_entries('mine', {'hop_band_0001_1': same})
    check_entries('mine', {'hop_band_0001_1': mixed[2].frames[1]})
    assert join('mine', label_of('a', 0)) == 'mine has had a already, which stays'
    assert join('mine', label_of('hop_band_0001_1')) is not None


def test_labels_with_a_split_are_in_it() -> None:
    for seed, (name, split) in enumerate((('a', 'train'), ('b', 'test'))):
        node = label_of(name, seed, splits=[split])
        assert node.base.attributes.get('split') == split
        join('mine', node)
        assert join('mine', node) is None  # once more, as after a kill
    assert {name: group.count() for name, group in DatasetGroup.of('mine').splits.items()} == {'train': 1, 'test': 1}
    found = verify('mine')
    assert found.ok, found.problems


def test_a_path_that_ended_takes_the_place_of_one_that_was_given_up(block: Any) -> None:
    failed, good, again = (
        block(path_of(), 'hop', n, status=status, converged=status == 'finished')
        for n, status in ((2, 'failed'), (3, 'finished'), (4, 'finished'))
    )
    assert join_block('mine', failed) is None and is_member('mine', failed)
    assert join_block('mine', good) is None
    assert is_member('mine', good) and not is_member('mine', failed)
    assert join_block('mine', good) is None
    for late in (again, failed):
        assert join_block('mine', late) == 'the data set mine has a path hop already: its configurations stay'
    assert DatasetGroup.of('mine').number_of_entries() == 3
    assert not is_member('mine', again) and not is_member('nowhere', good)


def test_name_of_another_path_is_refused_at_the_launch(block: Any) -> None:
    join_block('mine', block(path_of(source=0, target=1), 'hop', status='failed', converged=False))
    same = path_of(1.9, source=0, target=1)  # from ends that are relaxed
    check_path_name('mine', 'hop', same, hop_of(same))
    check_path_name('nowhere', 'hop', same, hop_of(same))
    for other in (path_of(source=0, target=2), path_of(3.0, source=0, target=1), surface_path()):
        check_path_name('mine', 'other', other, hop_of(other))
        with pytest.raises(ValueError, match=r"'mine' has a path 'hop' of another hop or crystal.*--name"):
            check_path_name('mine', 'hop', other, hop_of(other))
    # Also one that got further: it is of something else.
    assert join_block('mine', block(path_of(source=0, target=2), 'hop')) is not None
    stranger = block(path_of(), 'of_another_level', potential=gpaw(cutoff_ev=400.0))
    assert 'cutoff_ev 300.0 there and 400.0 here' in str(join_block('mine', stranger))


def test_configurations_of_a_node_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiida_litraj.contract.frames import Frames

    node = label_of('a')
    parsed: list[int] = []
    parse = Frames.from_bytes

    def counted(content: bytes) -> Frames:
        parsed.append(len(content))
        return parse(content)

    monkeypatch.setattr(Frames, 'from_bytes', counted)
    assert node.shared_frames is node.shared_frames
    assert len(parsed) <= 1
    assert node.frames is not node.frames
