"""Reports on chains that really ran: numbers of ``show`` in tables, costs, versions, settings and nodes beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.orm import WorkChainNode
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.cli.processes import result_of
from aiida_litraj.workflows.conductivity import ConductivityWorkChain
from aiida_litraj.workflows.finetune import FinetuneWorkChain
from aiida_litraj.workflows.force_accuracy import ForceAccuracyWorkChain
from tests.cli.conftest import Installation
from tests.e2e import test_neb_benchmark
from tests.e2e.test_conductivity import SHORT
from tests.e2e.test_robustness import GRID
from tests.fixtures.nodes import potential
from tests.fixtures.training import labelled
from tests.workflows.test_conductivity import conductor, sites
from tests.workflows.test_force_accuracy import DEEPER, snapshots

pytestmark = pytest.mark.e2e
benchmark = test_neb_benchmark.benchmark
"""Fixture: builders of benchmarks on hops whose reference is made once."""


def reported(chain: WorkChainNode, folder: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return model, section and result of a chain; its page is written too, with the figure."""
    written = []
    for kind in ('json', 'html'):
        done = CliRunner().invoke(main, ['report', str(chain.pk), '-o', str(folder), '--format', kind, '--json'])
        assert done.exit_code == 0, done.output
        written += json.loads(done.stdout)['files']
    model = json.loads(Path(written[0]).read_text(encoding='utf-8'))
    assert '"picture":"iVBOR' in Path(written[1]).read_text(encoding='utf-8')
    result = result_of(chain)
    assert result is not None
    return model, model['sections'][0], result


def rows_of(section: dict[str, Any], title: str, part: str = 'tables') -> list[list[Any]]:
    (found,) = (one for one in section[part] if one['title'] == title)
    rows: list[list[Any]] = found['rows']
    return rows


def test_barrier_and_grid_of_one_potential(installation: Installation, barrier: dict[str, Any], tmp_path: Path) -> None:
    """From the command line alone: both chains in one page, the potential in one row."""
    grid = installation.json(
        'launch', 'robustness', '--potential', 'morse', '--protocol', 'quick', '--atoms', '8', '--density', '1.2',
        '--temperatures', '300,100000000', '--pressures', '1e6', '--repeats', '2',
        '--duration', str(GRID['duration_ps']), '--override', 'relaxation.max_steps=5',
    )  # fmt: skip
    pks = (str(barrier['pk']), str(grid['pk']))
    said = installation.json('report', *pks, '-o', str(tmp_path), '--format', 'json')
    model = json.loads(Path(said['files'][0]).read_text(encoding='utf-8'))
    (row,) = model['overview']['rows']
    assert row[:2] == ['morse', barrier['barrier_ev']] and row[2] == '2 of 4'
    first, second = model['sections']
    assert [one[2] for one in rows_of(first, 'Images')] == barrier['profile_ev']
    survivors = {(cell[1], cell[2]): cell[3:5] for cell in rows_of(second, 'Cells of the grid')}
    assert survivors == {(300.0, 1e6): [2, 2], (1e8, 1e6): [0, 2]}
    for section, calls in ((first, barrier['model_calls']), (second, None)):
        cost = rows_of(section, 'Cost', 'provenance')[0]
        assert cost[0] >= 1 and cost[2] == (calls or cost[2]) and cost[2] > 0
        (ran, *_) = rows_of(section, 'Versions and checksums', 'provenance')
        assert ran[1].startswith('morse') and ran[8] == barrier['potential_sha256'] and 'numpy ' in ran[9]
    assert ['hop.source', 0] in rows_of(first, 'Settings', 'provenance')
    page = installation.call('report', *pks, '-o', str(tmp_path))
    assert page.returncode == 0 and f'file://{tmp_path}/index.html' in page.stdout


def test_conductivity(engine_code: Any, computer: Any, tmp_path: Path) -> None:
    builder = ConductivityWorkChain.get_builder_from_protocol(
        engine_code, sites(options={'barrier': 0.25}), conductor(), 'quick', SHORT, {'processes': 1}, computer
    )
    _, section, result = reported(run_get_node(builder)[1], tmp_path)
    sigma = {'value': result['sigma_298_s_per_cm'], 'interval': [result['sigma_298_low'], result['sigma_298_high']]}
    assert rows_of(section, 'At room temperature')[0][1] == {**sigma, 'reason': None}
    assert [row[0] for row in rows_of(section, 'By temperature')] == [900.0, 1400.0]
    assert section['warnings'] == result['warnings'] != []


def test_forces_by_stage(toy_dft: Any, engine_code: Any, computer: Any, tmp_path: Path) -> None:
    morse = potential('morse')
    morse.label = 'soft one'
    builder = ForceAccuracyWorkChain.get_builder_from_protocol(
        protocol='fast', potentials={'soft': {'code': engine_code, 'potential': morse}}, frames=snapshots(),
        dft_code=toy_dft, label={'settings': {'options': DEEPER, 'ceiling_ev': None}}, computer=computer,
        options={'processes': 1},
    )  # fmt: skip
    model, section, result = reported(run_get_node(builder)[1], tmp_path)
    told = result['potentials']['soft']['stages']
    rows = {row[1]: row for row in rows_of(section, 'Errors by stage')}
    assert list(rows) == ['melt', 'quench', 'glass', 'all']
    for stage, row in rows.items():
        assert (row[0], row[2]) == ('soft one', told[stage]['n_frames'])
        assert row[3]['value'] == told[stage]['rmse_force_mev_per_ang']
    # The labels are of a well a fifth deeper.
    assert rows['all'][4]['value'] == pytest.approx(1 / 1.2, abs=1e-6)
    assert [row[:2] for row in model['overview']['rows']] == [['soft one', rows['all'][3]]]
    assert model['potentials']['rows'][0][-1] == morse.uuid


def test_finetuning(engine_code: Any, computer: Any, tmp_path: Path) -> None:
    parent = potential('morse')
    parent.label = 'parent potential'
    builder = FinetuneWorkChain.get_builder_from_protocol(
        code=engine_code, potential=parent, train=labelled(8), valid=labelled(2, seed=1), test=labelled(5, seed=2),
        protocol='fast', computer=computer,
    )  # fmt: skip
    _, section, result = reported(run_get_node(builder)[1], tmp_path)
    rows = rows_of(section, 'Held-out test set')
    told = result['test']['potentials']
    assert rows[0][0] == 'parent (parent potential)'
    assert rows[0][1]['value'] == told['zero_shot']['rmse_force_mev_per_ang']
    assert {row[0] for row in rows[1:]} == set(told) - {'zero_shot'}
    assert {row[-1] for row in rows_of(section, 'What was made')} == {
        one['uuid'] for one in result['potentials'].values()
    }


def test_benchmarks_of_the_same_hops_share_a_column(benchmark: Any, tmp_path: Path) -> None:
    """Two chains, a potential each, on the hops of two crystals, and a third one on those of other two."""
    pks = []
    for name, only in (('morse', (0, 1)), ('0_15', (0, 1)), ('wide', (1, 2))):
        _, node = run_get_node(benchmark(name, only=only, tight=0))
        assert node.is_finished_ok, node.exit_message
        pks.append(str(node.pk))
    done = CliRunner().invoke(main, ['report', *pks, '-o', str(tmp_path), '--format', 'json'])
    assert done.exit_code == 0, done.output
    model = json.loads((tmp_path / 'report.json').read_text(encoding='utf-8'))
    heads = [one['name'].rpartition('(chain ')[2] for one in model['overview']['columns']]
    assert heads == ['Potential', f'{pks[0]}, {pks[1]})', f'{pks[2]})']
    assert [[cell is None for cell in row[1:]] for row in model['overview']['rows']] == [
        [False, True], [False, True], [True, False]
    ]  # fmt: skip
