"""What real chains have cost, and what becomes of their folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.workflows.neb import NebBaseWorkChain
from aiida_litraj.workflows.relax import RelaxBaseWorkChain
from tests.fixtures.nodes import neb_parameters, potential, rattled, relax_parameters, surface_path, vacancy_path

PATIENCE_S = 280


def jobs_of(node: Any) -> list[CalcJobNode]:
    return sorted((child for child in node.called if isinstance(child, CalcJobNode)), key=lambda job: job.pk)


def told(*arguments: str) -> Any:
    done = CliRunner().invoke(main, [*arguments, '--json'])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.usefixtures('aiida_profile_clean')
def test_chain_that_is_done_leaves_no_folder_and_costs_once(engine_code: Any, neb_inputs: Any) -> None:
    """The second launch is had from the cache: it costs nothing, and saves what the first has cost."""
    inputs = {**neb_inputs({'hop': surface_path()}), 'code': engine_code}
    _, first = run_get_node(NebBaseWorkChain, neb=inputs)
    with enable_caching(identifier='aiida.calculations:litraj.*'):
        _, again = run_get_node(NebBaseWorkChain, neb=inputs)
    (job,) = jobs_of(first)
    audit, item = job.outputs.results['audit'], job.outputs.results['items']['hop']
    assert not Path(job.get_remote_workdir()).exists() and job.outputs.remote_folder.is_cleaned
    made = item['band_calls'] + item['endpoint_calls'] + item['saddle_calls']
    content = told('usage')
    rows, total = {row['pk']: row for row in content['rows']}, content['total']
    assert (rows[first.pk]['model_calls'], rows[again.pk]['model_calls'], total['model_calls']) == (made, 0, made)
    assert rows[first.pk]['core_hours'] == pytest.approx(audit['cpu_seconds'] / 3600.0)
    assert rows[first.pk]['wall_hours'] >= audit['wall_seconds'] / 3600.0
    assert (total['jobs'], total['cached_jobs'], total['saved_model_calls']) == (2, 1, made)
    assert total['saved_core_hours'] == pytest.approx(rows[first.pk]['core_hours'])
    assert total['gpu_hours'] == 0.0


@pytest.mark.usefixtures('aiida_profile_clean')
def test_chain_that_was_cut_off_keeps_its_checkpoint_and_the_next_cleans_it(
    engine_code: Any, relax_inputs: Any
) -> None:
    """A clock too short: nothing is cleaned; the same launch with time goes on from there, and then all goes."""
    crystals = {f'crystal_{seed}': rattled(seed=seed, ang=0.3) for seed in range(3)}
    inputs = {**relax_inputs(crystals, relax_parameters(fmax_ev_per_ang=1e-9)), 'code': engine_code}
    short = {**inputs, 'metadata': {**inputs['metadata'], 'options': {'processes': 1, 'max_seconds': 0.001}}}
    _, cut = run_get_node(RelaxBaseWorkChain, relax=short, max_iterations=1)
    assert cut.exit_status == 401
    (killed,) = jobs_of(cut)
    assert Path(killed.get_remote_workdir(), 'checkpoint').exists()
    planned = told('clean', '--dry-run')
    assert (planned['folders'], planned['kept']) == ([], {'not well': 1})
    _, done = run_get_node(RelaxBaseWorkChain, relax=inputs)
    (job,) = jobs_of(done)
    assert job.inputs.parent_folder.creator.pk == killed.pk
    assert not Path(killed.get_remote_workdir()).exists() and not Path(job.get_remote_workdir()).exists()


@pytest.mark.usefixtures('aiida_profile_clean')
def test_cleaning_by_hand(engine_code: Any, neb_inputs: Any) -> None:
    inputs = {**neb_inputs({'hop': surface_path()}, keep_folder=True), 'code': engine_code}
    _, node = run_get_node(NebBaseWorkChain, neb=inputs)
    (job,) = jobs_of(node)
    place = Path(job.get_remote_workdir())
    planned = told('clean', str(node.pk), '--dry-run')
    assert ([folder['path'] for folder in planned['folders']], planned['cleaned']) == ([str(place)], 0)
    assert planned['bytes'] > 0 and place.exists() and not job.outputs.remote_folder.is_cleaned
    asked = CliRunner().invoke(main, ['clean'], input='n\n')
    assert asked.exit_code != 0 and place.exists()
    unasked = CliRunner().invoke(main, ['clean', '--json'])
    assert unasked.exit_code == 1 and 'Add --yes or --dry-run' in unasked.stdout and place.exists()
    assert told('clean', '--yes')['cleaned'] == 1
    assert not place.exists()
    assert told('clean', '--yes')['folders'] == []


@pytest.mark.slurm
@pytest.mark.timeout(2 * PATIENCE_S)
def test_gpu_hours_on_the_cluster_are_those_of_accounting(
    testbed: Any, on_the_cluster: Any, submit_and_await: Any, engine_code: Any, neb_inputs: Any
) -> None:
    """The job asks for one GPU and holds it longer than the engine sees; its folder is gone at the end."""
    inputs = {**neb_inputs({'hop': vacancy_path()}, potential(), neb_parameters()), 'code': engine_code}
    metadata = on_the_cluster(prepend_text='sleep 5')
    node = submit_and_await(NebBaseWorkChain, neb={**inputs, 'metadata': metadata}, timeout=PATIENCE_S)
    assert node.is_finished_ok, node.exit_message
    (job,) = jobs_of(node)
    ask = f'sacct --allocations --noheader --parsable2 --format=ElapsedRaw,AllocCPUS --jobs={job.get_job_id()}'
    elapsed, cores = map(int, testbed.on_it(ask).split('|'))
    assert elapsed >= 5 > job.outputs.results['audit']['wall_seconds']
    (row,) = told('usage', str(node.pk))['rows']
    assert row['sources'] == {'accounting': 1}
    assert row['gpu_hours'] == pytest.approx(elapsed / 3600.0)
    assert row['core_hours'] == pytest.approx(elapsed * cores / 3600.0)
    place = job.get_remote_workdir()
    assert testbed.on_it(f'test -e {place} || echo gone') == 'gone'
    assert job.outputs.remote_folder.is_cleaned
