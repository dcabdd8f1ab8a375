"""``aiida-litraj report``: one report on chains of any kind, from the graph, with what failed and what is not done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import Bool, Dict, StructureData, WorkChainNode
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.data import PathData
from aiida_litraj.report.page.gather import task_of
from tests.fixtures.benchmarks import TWO, benchmark
from tests.fixtures.nodes import chain, potential, vacancy_path

BENCHMARK = 'litraj.neb_benchmark'


@pytest.fixture
def call(aiida_profile_clean: Any, tmp_path: Path) -> Any:
    """``call(arguments)`` is what the command prints with ``--json``, or its error; the folder is ``tmp_path/out``."""

    def run(*arguments: Any) -> Any:
        words = [str(one) for one in arguments]
        done = CliRunner().invoke(main, ['report', *words, '-o', str(tmp_path / 'out'), '--json'])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return json.loads(done.stdout)

    return run


def given(node: WorkChainNode, **inputs: Any) -> None:
    for label, one in inputs.items():
        node.backend_entity.add_incoming(one.store().backend_entity, LinkType.INPUT_WORK, label)


def gave(node: WorkChainNode, **outputs: Any) -> None:
    for label, one in outputs.items():
        one.store().backend_entity.add_incoming(node.backend_entity, LinkType.RETURN, label)


@pytest.fixture
def benchmarked(aiida_profile_clean: Any) -> WorkChainNode:
    """A benchmark of two potentials on three hops with paths."""
    names = ('a', 'b', 'c')
    paths: dict[str, dict[str, PathData]] = {
        key: {name: vacancy_path(n_images=5, ion=k).store() for k, name in zip((0, 2, 3), names)}
        for key in ('reference', 'initial', *TWO)
    }
    uuids = {key: {name: one.uuid for name, one in found.items()} for key, found in paths.items()}
    made = benchmark(names=names, uuids=uuids)
    node = chain(BENCHMARK)
    for name, content in made.contents.items():
        given(node, **{f'potentials__{name}__potential': potential()})
        gave(node, **{f'benchmark__{name}': Dict(content)})
        gave(node, **{f'paths__{name}__{hop}': path for hop, path in paths[name].items()})
    given(node, analysis=Dict({'threshold_ev': 0.5, 'nested': {'seed': 3}}))
    gave(node, leaderboard=Dict(made.leaderboard))
    return node


def model_of(call: Any, tmp_path: Path, *arguments: Any) -> dict[str, Any]:
    said = call(*arguments, '--format', 'json')
    assert 'error' not in said, said
    assert said['files'] == [str(tmp_path / 'out' / 'report.json')]
    content: dict[str, Any] = json.loads((tmp_path / 'out' / 'report.json').read_text(encoding='utf-8'))
    return content


def test_benchmark_from_the_graph(call: Any, benchmarked: WorkChainNode, tmp_path: Path) -> None:
    model = model_of(call, tmp_path, benchmarked.pk)
    (section,) = model['sections']
    assert (section['uuid'], section['problem'], section['kind']) == (benchmarked.uuid, None, BENCHMARK)
    assert section['line'].startswith('2 potentials on 3 hops of 3 materials')
    paths = section['benchmark']['paths']
    assert set(paths) == {'0', '1', '2'}
    assert set(paths['0']['tracks']) == {'reference', 'initial', 'p0', 'p1'}
    assert paths['0']['symbols'] == [['Li', 31]]
    tables = {one['title']: one['rows'] for one in section['provenance']}
    assert ['analysis.nested.seed', 3] in tables['Settings']
    assert {row[0] for row in tables['Results']} >= {'leaderboard', 'benchmark.soft', 'benchmark.good'}
    assert {row[-1] for row in model['potentials']['rows']} == {
        node.uuid for node in benchmarked.inputs.potentials.soft.values()
    } | {node.uuid for node in benchmarked.inputs.potentials.good.values()}


def test_potential_without_a_benchmark_is_named(call: Any, benchmarked: WorkChainNode, tmp_path: Path) -> None:
    """One that failed on every hop has one; what is lacking is then no failure of the potential."""
    given(benchmarked, potentials__third__potential=potential())
    (said,) = model_of(call, tmp_path, benchmarked.pk)['sections'][0]['warnings']
    assert said.endswith(
        'it covers none of the hops, could not be asked, or has brought none to an end, be it a failure'
    )


def test_no_room_for_paths(call: Any, benchmarked: WorkChainNode, tmp_path: Path) -> None:
    assert model_of(call, tmp_path, benchmarked.pk, '--size', '0')['sections'][0]['benchmark']['paths'] == {}


def test_page_of_a_benchmark(call: Any, benchmarked: WorkChainNode, tmp_path: Path) -> None:
    said = call(benchmarked.pk)
    assert said['chains'] == [{'pk': benchmarked.pk, 'uuid': benchmarked.uuid, 'problem': None}]
    written = (tmp_path / 'out' / 'index.html').read_text(encoding='utf-8')
    assert written.startswith('<!doctype html>') and 'good potential' in written


def test_chains_without_a_result_are_told(call: Any, tmp_path: Path) -> None:
    failed, waiting = chain('litraj.conductivity', status=411), chain('litraj.robustness', status=None)
    failed.set_exit_message('the crystal melted')
    first, second = model_of(call, tmp_path, failed.pk, waiting.uuid)['sections']
    assert 'the crystal melted' in first['problem'] and first['exit_status'] == 411
    assert 'has not ended yet' in second['problem'] and second['state'] == 'waiting'
    assert first['tables'] == second['tables'] == []


def test_what_is_reported_is_the_chain_that_a_node_belongs_to(
    call: Any, benchmarked: WorkChainNode, tmp_path: Path
) -> None:
    inner = chain('litraj.neb.base')
    inner.backend_entity.add_incoming(benchmarked.backend_entity, LinkType.CALL_WORK, 'neb')
    assert model_of(call, tmp_path, inner.pk)['sections'][0]['pk'] == benchmarked.pk
    said = call(inner.pk, benchmarked.pk)
    assert said['error']['message'] == f'the chain {benchmarked.pk} is given twice'


def test_what_is_no_chain_is_refused_before_anything_is_written(call: Any, tmp_path: Path) -> None:
    alone = chain('litraj.neb.base')
    assert 'does not belong to a' in call(alone.pk)['error']['message']
    assert "no node with the pk or uuid '99999'" in call(99999)['error']['message']
    assert not (tmp_path / 'out').exists()
    (tmp_path / 'out').write_text('mine')
    assert call(alone.pk)['error']['message'].endswith('is a file')
    assert (tmp_path / 'out').read_text() == 'mine'


def test_task_is_what_was_asked_whichever_potential_was(aiida_profile_clean: Any) -> None:
    """Settings and crystals by what they are, not by their nodes; else potentials would stand in different columns."""

    def asked(temperature: int = 300, site: float = 0.0, **more: Any) -> str:
        node = chain('litraj.conductivity')
        crystal = StructureData(cell=[[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]])
        crystal.append_atom(position=(site, 0.0, 0.0), symbols='Li')
        given(node, potential=potential(), settings=Dict({'temperatures_k': [temperature]}), structure=crystal, **more)
        return task_of(node)

    same = asked()
    assert asked(run__clean_workdir=Bool(True)) == same
    assert asked(potentials__b__potential=potential()) == same
    others = [asked(400), asked(site=1.0), asked(run__md__parameters=Dict({'seed': 1})),
              asked(melt_quench__potential=potential())]  # fmt: skip
    assert len({same, *others}) == 5


def test_two_benchmarks_share_a_column_only_if_they_are_of_the_same_hops(
    call: Any, benchmarked: WorkChainNode, tmp_path: Path
) -> None:
    """The same hops with other potentials, and other hops."""
    found = {name: node.get_dict() for name, node in benchmarked.outputs.benchmark.items()}
    for changes in ({}, {'protocol': 'tight'}):
        node = chain(BENCHMARK)
        content = found['soft'] | {
            'potential': {**found['soft']['potential'], 'label': 'third', 'uuid': str(node.uuid)}
        }
        gave(node, benchmark__third=Dict(content | changes), leaderboard=Dict({'ranking': ['third']}))
        table = model_of(call, tmp_path, benchmarked.pk, node.pk)['overview']
        heads = [one['name'] for one in table['columns']]
        numbers = [[None if cell is None else cell['value'] for cell in row[1:]] for row in table['rows']]
        if not changes:
            assert heads == ['Potential', 'MAE of barriers, all hops']
            assert len(numbers) == 3 and all(row[0] is not None for row in numbers)
        else:
            assert heads[1:] == [f'MAE of barriers, all hops (chain {pk})' for pk in (benchmarked.pk, node.pk)]
            assert [[one is None for one in row] for row in numbers] == [[False, True], [False, True], [True, False]]
        assert 'a failed one taken for the constant barrier' in table['note']


def test_state_of_a_killed_chain(call: Any, tmp_path: Path) -> None:
    node = chain('litraj.robustness', status=None)
    node.set_process_state(ProcessState.KILLED)
    (section,) = model_of(call, tmp_path, node.pk)['sections']
    assert section['problem'].startswith(f'process {node.pk} ended without a robustness grid')
