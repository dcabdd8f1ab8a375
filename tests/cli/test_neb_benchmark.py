"""``launch neb-benchmark``: hops and references, what the options become, and what is said of the potentials."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.orm import Dict
from click.testing import CliRunner

from aiida_litraj.calculations.functions.compare_benchmark import describe_benchmark
from aiida_litraj.calculations.functions.rank_potentials import describe_ranking
from aiida_litraj.cli import launching, main
from aiida_litraj.cli.neb_benchmark import (
    BENCHMARK,
    benchmark_line,
    benchmark_of,
    left_text,
    print_benchmark,
)
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.report.barrier_parity import draw_barrier_parity
from aiida_litraj.report.energy_profile import Caption
from aiida_litraj.report.words import reference_text
from tests.calculations.test_compare_benchmark import FOUND, about, account, nodes_of
from tests.datasets.tiny import nebdft2k
from tests.fixtures.nodes import chain, potential, vacancy_path

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
    families = [FamilyReport(family='toy', available=True, package='numpy')]
    report = ProbeReport(engine_version='0', python_version='3', python='p', platform='l', families=families)
    return register(Environment('toy', aiida_localhost.label, sys.executable), report).code


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that launches, what it printed, and the builder that would have run."""

    def call(*arguments: str) -> tuple[Any, Any]:
        taken: list[Any] = []
        monkeypatch.setattr(launching, 'run', lambda builder, *rest: taken.append(builder))
        done = CliRunner().invoke(main, ['launch', 'neb-benchmark', *arguments])
        return done, taken[0] if taken else None

    return call


def test_a_published_set_is_start_and_reference(launch: Any, tmp_path: Path) -> None:
    import_dataset(nebdft2k(tmp_path), 'nebDFT2k', workers=0)
    done, builder = launch(
        'nebDFT2k', '--potential', 'morse', '--potential', 'soft-morse', '--limit', '4', '--protocol', 'litraj-2025',
        '--threshold', '0.3', '--tight-sample', '2', '--max-jobs', '3', '--processes', '1',
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stderr == (
        '4 paths of 8 atoms and 5 images, 2 of them tightly as well; 2 potentials, protocol litraj-2025\n'
    )
    assert set(builder.potentials) == {'morse', 'soft_morse'}
    assert len(builder.paths) == len(builder.references) == 4
    for name, path in builder.paths.items():
        assert path.creator.inputs.entry.uuid == builder.references[name].uuid
        assert builder.references[name].energies is not None
    assert (builder.analysis['threshold_ev'], builder.analysis['tight_sample']) == (0.3, 2)
    assert {job['packing']['max_jobs'] for job in builder.jobs.values()} == {3}


def test_a_benchmark_is_gone_on_with_as_it_was(launch: Any, instantiate: Any, tmp_path: Path) -> None:
    """Else what it has computed would be computed again, by another protocol, and judged otherwise."""
    import_dataset(nebdft2k(tmp_path), 'nebDFT2k', workers=0)
    _, first = launch(
        'nebDFT2k', '--potential', 'morse', '--limit', '4', '--protocol', 'litraj-2025', '--threshold', '0.3',
        '--tight-sample', '2', '--override', 'neb.band.max_steps=70',
    )  # fmt: skip
    first.materials = dict.fromkeys(first.paths, 'mine')
    before = instantiate(first.process_class, first._inputs(prune=True)).node
    both = (str(before.pk), '--potential', 'morse', '--potential', 'soft-morse')
    done, builder = launch(*both)
    assert done.stderr == (
        '4 paths of 8 atoms and 5 images, 2 of them tightly as well; 2 potentials, protocol litraj-2025, '
        f'as benchmark {before.pk}\n'
    )
    for name in ('parameters', 'tight_parameters', 'analysis'):
        assert builder[name].uuid == before.inputs[name].uuid
    assert builder.parameters['band']['max_steps'] == 70
    assert builder.materials.get_dict() == before.inputs.materials.get_dict()
    assert {name: path.uuid for name, path in builder.paths.items()} == {n: p.uuid for n, p in first.paths.items()}

    done, builder = launch(*both, '--threshold', '0.4', '--override', 'neb.band.fmax_ev_per_ang=0.07', '--limit', '3')
    assert done.stderr.endswith(f'as benchmark {before.pk} but for protocol, settings\n')
    assert (builder.analysis['threshold_ev'], builder.analysis['tight_sample']) == (0.4, 2)
    assert (builder.parameters['band']['fmax_ev_per_ang'], builder.parameters['band']['max_steps']) == (0.07, 70)
    assert builder.tight_parameters.uuid == before.inputs.tight_parameters.uuid
    assert set(builder.materials.get_dict()) == set(builder.paths) < set(first.paths)

    _, builder = launch(*both, '--protocol', 'balanced')
    assert builder.parameters.label == builder.analysis.label == 'balanced'
    assert (builder.analysis['threshold_ev'], builder.analysis['tight_sample']) == (0.5, 10)
    assert set(builder.materials.get_dict().values()) == {'mine'}
    done, _ = launch(*both, '--override', 'neb.band.fmx=1')
    assert done.exit_code == 1 and 'fmx' in done.stderr


def test_hops_without_a_reference_are_refused(launch: Any, count_processes: Any) -> None:
    path, before = vacancy_path().store(), count_processes()
    done, _ = launch(str(path.pk), '--potential', 'morse')
    assert done.exit_code == 1
    assert 'the hop has no converged path to compare with' in done.stderr
    assert '--protocol tight' in done.stderr and count_processes() == before


@pytest.fixture
def result(aiida_profile_clean: Any) -> dict[str, Any]:
    """Two potentials on four hops, as ``--json`` prints them."""
    kind = {'kind': 'potential', 'label': '7net-l3i5', 'protocol': 'tight'}
    nodes = nodes_of(FOUND)
    found = {
        'picky': describe_benchmark(
            about(reference=kind), account(a1=True, a2=True, b1=False, b2=False), potential(), nodes
        ),
        'steady': describe_benchmark(
            about(reference=kind), account(a1=True, a2=True, b1=True, b2=None), potential(), nodes
        ),
    }
    return {
        'uuid': 'u', 'pk': 7, 'n_hops': 4, 'n_materials': 2, 'reference': kind, 'benchmark': found,
        'leaderboard': describe_ranking(found), 'exit_status': 0,
        'potentials': {'picky': 'Picky', 'steady': 'Steady', 'lost': 'Lost'}, 'without_benchmark': ['lost'],
        'protocol': 'balanced', 'complete': False,
    }  # fmt: skip


def test_leaderboard_is_printed_in_its_order(result: dict[str, Any], capsys: Any) -> None:
    print_benchmark(result)
    said = capsys.readouterr()
    rows = [line.split() for line in said.out.splitlines() if line.lstrip().startswith(('Picky ', 'Steady '))]
    assert [row[0] for row in rows] == ['Picky', 'Steady'], 'one that is not through comes last'
    assert rows[0][1:4] == ['2', 'of', '4'] and rows[1][1:4] == ['3', 'of', '3']
    assert [row[-1] for row in rows] == ['30', '30'], 'calls of the four hops that were run'
    assert '7net-l3i5, protocol tight, a potential and no DFT' in said.out
    assert 'no benchmark' in said.out and 'Lost' in said.out
    assert 'those with unfinished hops come last' in said.out
    assert 'Picky, failed: b1 (ERROR_NOT_CONVERGED), b2' in said.out
    assert 'Picky, furthest off: a' in said.out
    assert 'For nothing: MAE of a constant barrier 0.500 eV' in said.out
    assert 'For nothing on the 3 hops that Steady is through: MAE of a constant barrier' in said.out
    assert 'Steady: 1 hop not finished, so left out' in said.err
    assert benchmark_line(result).startswith('MAE of barriers: Picky ')


def test_calls_are_of_the_hops_that_were_run(result: dict[str, Any], capsys: Any) -> None:
    """Of four hops the potential does not cover two: its 120 calls were for the others."""
    lacking = {'b1': ['S'], 'b2': ['S']}
    given = nodes_of({'a1': 0.4, 'a2': 0.4})
    one = describe_benchmark(about(not_covered=lacking), account(a1=True, a2=True), potential(), given)
    found = {'picky': one}
    print_benchmark({**result, 'benchmark': found, 'leaderboard': describe_ranking(found)})
    row = next(line.split() for line in capsys.readouterr().out.splitlines() if line.lstrip().startswith('Picky '))
    assert (row[1:4], row[-1]) == (['2', 'of', '4'], '60')


def test_what_is_left_out_for_a_fault_is_said_with_why(result: dict[str, Any], capsys: Any) -> None:
    """A force that explodes is a failure, a device without memory is none."""
    ended = account(a1=True, a2='ERROR_EXPLODED', b1=True, b2='ERROR_DEVICE_MEMORY')
    found = {'picky': describe_benchmark(about(), ended, potential(), nodes_of({'a1': 0.4, 'b1': 0.8}))}
    print_benchmark({**result, 'benchmark': found, 'leaderboard': describe_ranking(found)})
    said = capsys.readouterr()
    assert 'Picky, failed: a2 (a force of 1e9 eV/Ang)\n' in said.out
    assert 'Picky: 1 hop not finished, so left out: b2 (a force of 1e9 eV/Ang)' in said.err


def test_what_is_not_complete_is_named(result: dict[str, Any]) -> None:
    assert left_text(result) == 'Steady: 1 hop not finished; Lost: no benchmark'
    whole = {name: one for name, one in result['benchmark'].items() if name == 'picky'}
    assert left_text({**result, 'benchmark': whole, 'without_benchmark': [], 'complete': True}) == ''
    assert left_text({**result, 'benchmark': whole, 'without_benchmark': []}) == 'the chain goes on'


def test_a_chain_is_complete_if_each_potential_is_through_every_hop(result: dict[str, Any]) -> None:
    for names, complete in ((('picky',), True), (('picky', 'steady'), False), (('picky', 'lost'), False)):
        node = chain(BENCHMARK)
        for name in names:
            chosen = potential().store()
            chosen.label = name.title()
            node.backend_entity.add_incoming(
                chosen.backend_entity, LinkType.INPUT_WORK, f'potentials__{name}__potential'
            )
        found = {name: result['benchmark'][name] for name in names if name in result['benchmark']}
        outputs = {f'benchmark__{name}': Dict(one).store() for name, one in found.items()}
        outputs['leaderboard'] = Dict(describe_ranking(found)).store()
        for label, one in outputs.items():
            one.backend_entity.add_incoming(node.backend_entity, LinkType.RETURN, label)
        content = benchmark_of(node)
        assert content is not None and content['complete'] is complete
        assert set(content['potentials']) == set(names)


def test_reference_is_said_plainly() -> None:
    card = {'kind': 'data set', 'label': 'nebDFT2k', 'level_of_theory': 'DFT, PBE'}
    assert reference_text(card) == 'nebDFT2k: DFT, PBE'
    assert reference_text({'kind': 'dft', 'label': 'gpaw', 'protocol': 'tight'}) == 'gpaw, protocol tight'


def test_picture_has_a_panel_for_each_potential(result: dict[str, Any]) -> None:
    """Points are where the barriers are; those that did not converge are crosses."""
    found = {result['potentials'][name]: one for name, one in result['benchmark'].items()}
    figure = draw_barrier_parity(found, Caption('Barriers'))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc='left') for axes in panels] == ['Picky', 'Steady']
    points = {one.get_gid(): sorted(map(tuple, one.get_offsets().tolist())) for one in panels[0].collections}
    assert points['converged'] == [(0.3, 0.4), (0.5, 0.4)]
    assert points['not converged'] == [(0.8, 0.8)]
    assert panels[0].get_xlim() == panels[1].get_xlim() == panels[0].get_ylim()
    words = [text.get_text() for axes in panels for text in axes.texts]
    assert '2 of 4 converged' in words[0] and '1 without a path' in words[0]


def test_json_of_a_chain_has_everything(result: dict[str, Any]) -> None:
    json.dumps(result, allow_nan=False)
    assert set(result['benchmark']['picky']) >= {
        'schema_version', 'potential', 'protocol', 'parameters', 'threshold_ev', 'reference', 'n_paths', 'n_converged',
        'n_materials', 'errors', 'classification', 'floors', 'groups', 'protocol_error', 'cost', 'audit', 'hops',
    }  # fmt: skip
