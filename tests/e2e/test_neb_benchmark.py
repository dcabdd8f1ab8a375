"""The benchmark of barriers with the real engine: reference made here, potentials added, nothing computed twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import run_get_node, submit
from aiida.engine.processes.control import kill_processes
from aiida.orm import CalcJobNode, ProcessNode
from litraj import metrics as publisher

from aiida_litraj.data import PathData, PotentialData
from aiida_litraj.groups.hops import StoredHop, hops_of_process
from aiida_litraj.workflows.benchmark_so_far import benchmarks_so_far
from aiida_litraj.workflows.neb import NebPackedWorkChain
from aiida_litraj.workflows.neb_benchmark import NebBenchmarkWorkChain
from tests.e2e.test_kill import engines, workers
from tests.e2e.test_packed_kill import PATIENCE_S, send, wait_until
from tests.fixtures.nodes import potential, vacancy_path

EQUAL = 1e-10
SAME = 1e-7
"""eV and Ang: an end that one job relaxes twice and another once is the same to round-off."""
STRAINS = (0.95, 0.98, 1.02)
HOPS = ((0, 1), (2, 1))
"""Ion and empty site of each crystal; both share an end."""
NUMBERS = {'mae': 'mae_ev', 'rmse': 'rmse_ev', 'Rp': 'pearson_r', 'slope': 'slope', 'R2': 'r2'}


def strained(strain: float, ion: int, site: int) -> PathData:
    """Return the straight path of a hop in a crystal that is pressed or stretched, so that its barrier is its own."""
    path = vacancy_path(ion=ion, site=site)
    return PathData.from_arrays(
        list(path.symbols), strain * path.get_positions(), strain * path.cell, path.pbc, mobile=0
    )


def jobs_of(node: ProcessNode) -> list[CalcJobNode]:
    return [one for one in node.called_descendants if isinstance(one, CalcJobNode)]


def given_to(node: ProcessNode) -> list[tuple[str, str, str]]:
    """Return potential, protocol and hop of each path of each job of a chain."""
    return [
        (job.inputs.potential.uuid, job.inputs.parameters.label, name)
        for job in jobs_of(node) for name in job.inputs.paths
    ]  # fmt: skip


@pytest.fixture
def benchmark(engine_code: Any, computer: Any) -> Any:
    """``benchmark(*names, only)`` is the builder of a benchmark, on the hops of three crystals or of ``only`` some."""
    known = {
        'morse': potential().store(),
        '0_15': potential('morse', depth=0.15).store(),
        'wide': potential('morse', alpha=1.2).store(),
        'broken': potential('morse', no_such_option=1.0).store(),
        'explosive': potential('morse', depth=3e6).store(),
        'oxides': PotentialData.packaged('toy', 'morse', elements=['O']).store(),
    }
    stiff = potential('morse', depth=0.25).store()
    options, hops = {'processes': 1}, dict[str, StoredHop]()

    def references() -> dict[str, StoredHop]:
        if not hops:
            paths = {
                f'crystal{number}_{ion}_{site}': strained(strain, ion, site)
                for number, strain in enumerate(STRAINS) for ion, site in HOPS
            }  # fmt: skip
            builder = NebPackedWorkChain.get_builder_from_protocol(
                engine_code, paths, stiff, protocol='tight', options=options, computer=computer,
                packing={'max_jobs': 1},
            )  # fmt: skip
            _, node = run_get_node(builder)
            assert node.is_finished_ok, node.exit_message
            hops.update(hops_of_process(node))
        return hops

    def make(*names: str, only: Collection[int] = range(len(STRAINS)), tight: int = 2) -> Any:
        chosen = {name: hop for name, hop in references().items() if int(name[7]) in only}
        return NebBenchmarkWorkChain.get_builder_from_protocol(
            {name: {'code': engine_code, 'potential': known[name]} for name in names},
            {name: hop.initial for name, hop in chosen.items()},
            {name: hop.reference for name, hop in chosen.items()},
            materials={name: name[:8] for name in chosen},
            overrides={'analysis': {'tight_sample': tight, 'threshold_ev': 0.2}}, options=options, computer=computer,
        )  # fmt: skip

    return make


def assert_same(one: Any, other: Any, where: str = '') -> None:
    """Compare all numbers of two benchmarks but what depends on how they came about: uuids, calls, times, jobs."""
    if isinstance(one, dict):
        own = ('uuid', 'path_uuid', 'reference_uuid', 'initial_uuid', 'model_calls', 'cost', 'audit', 'reason')
        assert set(one) == set(other), where
        for key in set(one) - set(own):
            assert_same(one[key], other[key], f'{where}.{key}')
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f'{where}.{number}')
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=SAME, rel=SAME), where
    else:
        assert one == other, where


def test_numbers_are_those_of_the_publishers_code(benchmark: Any) -> None:
    """From the very paths that are outputs, read as ASE's images."""
    outputs, node = run_get_node(benchmark('morse', '0_15'))
    assert node.is_finished_ok, node.exit_message
    assert set(outputs['benchmark']) == {'morse', '0_15'}
    references = dict(node.inputs.references)
    for name, result in outputs['benchmark'].items():
        content, paths = result.get_dict(), dict(outputs['paths'][name])
        assert (content['n_paths'], content['n_converged'], content['n_materials']) == (6, 6, 3)
        truth, own = (np.array([np.ptp(some[hop].energies) for hop in sorted(paths)]) for some in (references, paths))
        theirs = publisher.get_metrics(truth, own)
        ours = content['errors']['range']['converged_only']
        for their_name, our_name in NUMBERS.items():
            assert ours[our_name]['value'] == pytest.approx(float(theirs[their_name]), rel=EQUAL), our_name
        errors = [publisher.PA_MAE(references[hop].to_images(), paths[hop].to_images()) for hop in sorted(paths)]
        mean = content['errors']['range']['path_error_ang_converged_only']['value']
        assert mean == pytest.approx(np.mean(errors), abs=EQUAL)
        each = [content['hops'][hop]['path_error_ang'] for hop in sorted(paths)]
        assert each == pytest.approx(errors, abs=EQUAL)
        assert content['reference'] == {
            'kind': 'potential', 'label': 'morse', 'family': 'toy', 'protocol': 'tight',
            'uuid': references['crystal0_0_1'].creator.inputs.potential.uuid,
        }  # fmt: skip
        assert content['protocol_error']['n_paths'] == 2
    # Barriers are proportional to the depth of the wells: 0.3 and 0.15 eV beside 0.25.
    good = {name: one['errors']['range']['converged_only'] for name, one in outputs['benchmark'].items()}
    assert {name: one['slope']['value'] for name, one in good.items()} == pytest.approx(
        {'morse': 1.2, '0_15': 0.6}, abs=0.02
    )
    assert outputs['leaderboard']['ranking'] == ['morse', '0_15']
    called = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    ordered = [link.link_label for link in sorted(called, key=lambda link: link.node.pk)]
    assert ordered == ['neb_morse', 'tight_morse', 'neb_0_15', 'tight_0_15'], 'without a queue they take turns'
    made = outputs['benchmark']['0_15'].creator
    assert made.process_type == 'aiida.calculations:litraj.compare_benchmark'
    assert made.caller.uuid == node.uuid
    path = made.inputs.path_crystal0_0_1
    assert path.creator.inputs.paths.crystal0_0_1.uuid == node.inputs.paths.crystal0_0_1.uuid


def test_potentials_that_cannot_be_asked_leave_the_benchmarks_of_others(benchmark: Any) -> None:
    """Of one that covers no hop there is nothing to say, as of one that its engine refuses."""
    outputs, node = run_get_node(benchmark('broken', 'morse', only=(2,), tight=0))
    assert (node.exit_status, node.exit_message.partition(':')[0]) == (321, 'broken')
    assert set(outputs['benchmark']) == {'morse'}
    assert outputs['leaderboard']['ranking'] == ['morse']
    outputs, node = run_get_node(benchmark('oxides', 'morse', only=(2,), tight=0))
    assert (node.exit_status, node.exit_message) == (201, 'the potential oxides does not cover Li')
    assert set(outputs['benchmark']) == {'morse'}


def test_a_potential_that_fails_everywhere_is_judged(benchmark: Any) -> None:
    """Its forces explode on every hop: that is what the benchmark is about, and no reason to be left out."""
    outputs, node = run_get_node(benchmark('explosive', tight=0))
    assert node.is_finished_ok, node.exit_message
    worst = outputs['benchmark']['explosive'].get_dict()
    assert {(hop['status'], hop['label']) for hop in worst['hops'].values()} == {('failed', 'ERROR_EXPLODED')}
    assert (worst['n_paths'], worst['n_converged'], worst['n_unfinished']) == (6, 0, 0)
    charged = worst['errors']['range']['charged']['mae_ev_failed_as_constant']['value']
    assert charged == pytest.approx(worst['floors']['constant']['mae_ev']['value'], rel=EQUAL)
    assert outputs['leaderboard']['ranking'] == ['explosive']


@pytest.mark.timeout(600)
@pytest.mark.usefixtures('aiida_profile_clean')
def test_stopped_twice_and_extended_it_gives_the_numbers_of_one_go(
    benchmark: Any, started_daemon_client: Any, submit_and_await: Any, computer: Any
) -> None:
    """Killed by a person, then with two crystals and a potential more its worker killed: nothing twice."""
    work = Path(computer.get_workdir())
    first = submit(benchmark('morse', '0_15', only=(0, 2), tight=0))
    wait_until(lambda: bool(engines(work)), first)
    kill_processes([first], timeout=PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while not all(node.is_terminated for node in (first, *first.called_descendants)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert first.is_killed

    second = submit(benchmark('morse', '0_15', 'wide', tight=0))
    wait_until(lambda: bool(engines(work)), second)
    send(workers(started_daemon_client), signal.SIGKILL)
    second = submit_and_await(second, timeout=PATIENCE_S)
    assert second.is_finished_ok, second.exit_message
    finished = [
        (job.inputs.potential.uuid, job.inputs.parameters.label, name)
        for job in (*jobs_of(first), *jobs_of(second)) if 'results' in job.outputs
        for name, entry in job.outputs.results['items'].items() if entry['status'] == 'finished'
    ]  # fmt: skip
    assert len(finished) == len(set(finished)), 'a hop was computed twice'

    whole = benchmark('morse', '0_15', 'wide', tight=0)
    whole.jobs = {name: {**job, 'packing': {'max_jobs': 1, 'reuse': False}} for name, job in whole.jobs.items()}
    undisturbed = submit_and_await(submit(whole), timeout=PATIENCE_S)
    assert undisturbed.is_finished_ok, undisturbed.exit_message
    assert set(given_to(undisturbed)) == set(finished)
    for name, result in undisturbed.outputs.benchmark.items():
        assert_same(second.outputs.benchmark[name].get_dict(), result.get_dict(), name)
    assert_same(second.outputs.leaderboard.get_dict(), undisturbed.outputs.leaderboard.get_dict())

    # The first one was killed, and has no outputs: what there is of its hops is known all the same.
    so_far = benchmarks_so_far(first)
    assert set(so_far) == {'morse', '0_15'}
    for name, content in so_far.items():
        assert (content['n_paths'], content['n_unfinished']) == (4, 0)
        whole_hops = second.outputs.benchmark[name]['hops']
        for hop, entry in content['hops'].items():
            assert_same(entry, whole_hops[hop], f'{name}.{hop}')
