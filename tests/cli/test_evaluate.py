"""``launch evaluate``: where configurations come from, what the options become, and what is said of the errors."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from click.testing import CliRunner

from aiida_litraj.analysis.force_errors import energy_forces_errors
from aiida_litraj.calculations.functions.compare_labels import as_dict, describe_errors, read_comparison
from aiida_litraj.cli import launching, main
from aiida_litraj.cli.evaluate import errors_line, level_of, print_errors
from tests.fixtures.labels import some_labelled

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.fixture(autouse=True)
def code(aiida_profile_clean: Any, aiida_localhost: Any) -> Any:
    """A code of the family of two potentials."""
    from aiida_litraj.codes.environment import Environment
    from aiida_litraj.codes.register import register
    from aiida_litraj.contract.potential import FamilyReport, ProbeReport
    from aiida_litraj.data import PotentialData

    PotentialData.packaged('toy', 'morse').store()
    PotentialData.packaged('toy', 'morse', options={'depth': 0.4}, label='soft-morse').store()
    PotentialData.packaged('toy', 'morse', options={'depth': 0.2}, elements=['O'], label='oxides').store()
    families = [FamilyReport(family='toy', available=True, package='numpy')]
    report = ProbeReport(engine_version='0', python_version='3', python='p', platform='l', families=families)
    return register(Environment('toy', aiida_localhost.label, sys.executable), report).code


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that launches, what it printed, and the builder that would have run."""

    def call(*arguments: str) -> tuple[Any, Any]:
        taken: list[Any] = []
        monkeypatch.setattr(launching, 'run', lambda builder, *rest: taken.append(builder))
        done = CliRunner().invoke(main, ['launch', 'evaluate', *arguments])
        return done, taken[0] if taken else None

    return call


def test_file_with_labels(launch: Any, tmp_path: Path) -> None:
    """Its energies, forces, stresses and info are those of the node; the same file is the same node."""
    frames, path = some_labelled(3), tmp_path / 'three.extxyz'
    ase.io.write(path, frames.to_ase())
    done, builder = launch(
        str(path), '--potential', 'morse', '--potential', 'soft-morse', '--offsets', 'none', '--unit', 'frame',
        '--override', 'settings.samples=200', '--processes', '1', '--no-cache',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert '3 configurations of Li, up to 4 atoms; 2 potentials, protocol balanced' in done.output
    read = builder.frames.frames
    np.testing.assert_allclose(read.forces, frames.frames.forces, atol=1e-7)
    np.testing.assert_allclose(read.energies, frames.frames.energies, atol=1e-7)
    np.testing.assert_allclose(read.stresses, frames.frames.stresses, atol=1e-7)
    assert [info['stage'] for info in read.info] == ['hold', 'melt', 'hold']
    settings = builder.settings.get_dict()
    assert (settings['offsets'], settings['unit'], settings['samples']) == ('none', 'frame', 200)
    assert set(builder.potentials) == {'morse', 'soft_morse'}
    assert builder.jobs['morse']['disable_cache'] is True and builder.jobs['morse']['options']['processes'] == 1
    _, again = launch(str(path), '--potential', 'morse')
    assert again.frames.uuid == builder.frames.uuid


def test_stored_configurations(launch: Any) -> None:
    frames = some_labelled(2).store()
    done, builder = launch('--frames', str(frames.pk), '--potential', 'morse')
    assert done.exit_code == 0, done.output
    assert builder.frames.uuid == frames.uuid


def test_work_is_shared_out_if_asked_for(launch: Any) -> None:
    pk = str(some_labelled(2).store().pk)
    done, builder = launch('--frames', pk, '--potential', 'morse', '--max-jobs', '3', '--walltime', '7200')
    assert done.exit_code == 0, done.output
    assert builder.jobs['morse']['packing'] == {'max_jobs': 3}
    assert builder.jobs['morse']['options']['max_wallclock_seconds'] == 7200
    done, builder = launch('--frames', pk, '--potential', 'morse')
    assert 'packing' not in builder.jobs['morse']
    done, builder = launch('--frames', pk, '--potential', 'morse', '--max-jobs', '0')
    assert done.exit_code == 2 and '--max-jobs' in done.output


def test_gpus_of_a_job_are_an_option_of_it(code: Any) -> None:
    assert launching.job_options(code, {'gpus': 2})['gpus'] == 2


REFUSED = {
    'no place': ((), 'configurations: none given; name one of FILE, --frames and --dataset'),
    'two places': (('a.xyz', '--frames', '1'), 'configurations: FILE and --frames given'),
    'criteria of a file': (('a.xyz', '--number', '3'), 'FILE is taken whole'),
    'no file': (('a.xyz',), 'the configurations a.xyz are not there'),
    'no set': (('--dataset', 'nowhere'), 'nowhere'),
    'a key that none has': (('--frames', '{pk}', '--family', 'colour'), "settings.family = 'colour'"),
    'materials that are not known': (('--frames', '{pk}', '--unit', 'material'), "settings.unit = 'material'"),
    'too few samples': (('--frames', '{pk}', '--override', 'settings.samples=5'), 'settings.samples = 5'),
    'no labels': (('--frames', '{bare}'), 'none of the 2 configurations has an energy or forces'),
    'labels of the driver': (('--frames', '{sampled}'), 'they were sampled from a melt-quench'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_refusals_as_json(case: str, launch: Any) -> None:
    from aiida_litraj.data import FramesData

    labelled = some_labelled(2)
    bare = replace(labelled.frames, energies=None, forces=None, stresses=None)
    nodes = {
        'pk': labelled.store().pk,
        'bare': FramesData.from_frames(bare).store().pk,
        'sampled': some_labelled(3, sampled_from='melt-quench').store().pk,
    }
    options, words = REFUSED[case]
    done, builder = launch(*(one.format(**nodes) for one in options), '--potential', 'morse', '--json')
    assert builder is None and done.exit_code in (1, 2)
    assert words in json.loads(done.stdout)['error']['message']


def test_one_of_two_potentials_covers_the_elements(launch: Any) -> None:
    pk = str(some_labelled(2).store().pk)
    done, builder = launch('--frames', pk, '--potential', 'morse', '--potential', 'oxides')
    assert done.exit_code == 0, done.output
    done, builder = launch('--frames', pk, '--potential', 'oxides')
    assert builder is None and "potential 'oxides' does not cover Li" in done.output


def result() -> dict[str, Any]:
    """What the errors of two potentials are shown from, one of them softer by a fifth."""
    node = some_labelled(12)
    frames, facts = node.frames, {'unit': 'material', 'family_key': 'stage', 'settings': {'confidence': 0.95}}
    groups, families = [str(index // 2) for index in range(12)], [info['stage'] for info in frames.info]
    said = {'a': replace(frames, forces=0.8 * frames.forces), 'b': frames}
    errors = {
        name: as_dict(energy_forces_errors(frames, one, groups=groups, families=families)) | facts
        for name, one in said.items()
    }
    return {
        'uuid': 'u', 'pk': 1, 'n_frames': 12, 'formula': 'Li', 'elements': ['Li'], 'label': None, 'protocol': 'p',
        'potentials': {'a': 'soft-morse', 'b': 'morse'}, 'not_evaluated': ['c'], 'errors': errors,
    }  # fmt: skip


def test_errors_are_printed_with_intervals_and_families(capsys: pytest.CaptureFixture[str]) -> None:
    print_errors(result())
    said = capsys.readouterr()
    assert '0.800 [0.800, 0.800]' in said.out and '1.000 [1.000, 1.000]' in said.out
    assert '95 %, over 6 materials' in said.out
    assert 'melt' in said.out and 'hold' in said.out and 'not evaluated' in said.out
    assert said.err.count('the intervals are of 6 groups only') == 1  # the same of both


def test_header_says_why_there_are_no_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    settings = read_comparison({
        'offsets': 'none', 'ridge_alpha': 1e-5, 'family': 'auto', 'unit': 'auto', 'samples': 100, 'seed': 0,
        'confidence': 0.95,
    })  # fmt: skip
    node = some_labelled(4, material_ids=['Li2S', 'Li2S', 'Li3PS4', 'Li3PS4'])
    print_errors({**result(), 'potentials': {'a': 'm'}, 'errors': {'a': describe_errors(node, node, settings)}})
    said = capsys.readouterr().out
    assert 'none: 2 materials (Li2S, Li3PS4), 5 are needed; --unit frame draws single configurations' in said
    assert '95 %' not in said


def test_level_of_labels_is_said_where_it_is_known(aiida_profile: Any) -> None:
    level = {'functional': 'PBE', 'cutoff_ev': 340.0, 'kpoint_mesh': [2, 2, 2], 'code': 'gpaw', 'version': '22.8.0'}
    assert level_of(some_labelled(2, level=level)) == ('PBE, 340 eV, k-points 2x2x2, gpaw 22.8.0', 'gpaw')
    assert level_of(some_labelled(2)) == level_of(some_labelled(2, dataset='gone')) == (None, None)


def test_line() -> None:
    assert errors_line(result()).endswith('(slope 0.80), morse 0 meV/Å (slope 1.00)')


def test_help_says_what_it_does(launch: Any) -> None:
    done, _ = launch('--help')
    assert done.exit_code == 0
    assert 'aiida-litraj launch evaluate --frames 123' in done.output and '--daemon' in done.output
