"""The drawing has every ancestor of a node and every link of data between them, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData
from ase.build import bulk

from aiida_litraj.report.provenance import draw_provenance, save_graph

HOP = {'source': 0, 'target': 1, 'offset': [0, 0, 1], 'mechanism': 'vacancy'}


@calcfunction
def build(structure: Any, hop: Any) -> Dict:
    return Dict({'n': len(structure.sites)})


@calcfunction
def measure(path: Any) -> Dict:
    return Dict({'barrier_ev': 0.50412, 'converged': True})


@pytest.fixture
def barrier(aiida_profile_clean: Any) -> Any:
    Dict({'unrelated': 1}).store()
    return measure(build(StructureData(ase=bulk('NaCl', 'rocksalt', a=5.64)), Dict(HOP)))


def edges(source: str) -> set[tuple[str, str, str]]:
    found = set()
    for line in source.splitlines():
        if '->' in line:
            start, _, rest = line.strip().partition(' -> ')
            found.add((start, rest.split()[0], rest.partition('label="')[2].partition('"')[0].strip()))
    return found


def test_all_ancestors_and_links_are_there(barrier: Any) -> None:
    path = barrier.creator.inputs.path
    crystal, hop = path.creator.inputs.structure, path.creator.inputs.hop
    pk = {name: str(node.pk) for name, node in locals().items() if hasattr(node, 'pk')}
    graph = draw_provenance(barrier)
    assert edges(graph.source) == {
        (pk['crystal'], str(path.creator.pk), 'structure'),
        (pk['hop'], str(path.creator.pk), 'hop'),
        (str(path.creator.pk), pk['path'], 'result'),
        (pk['path'], str(barrier.creator.pk), 'path'),
        (str(barrier.creator.pk), pk['barrier'], 'result'),
    }
    assert 'unrelated' not in graph.source
    for text in ('Crystal', 'NaCl, 2 atoms', 'site 0 → 1, cell (0, 0, 1)', 'build', 'measure', 'Barrier', '0.504 eV'):
        assert text in graph.source


@pytest.mark.skipif(shutil.which('dot') is None, reason='graphviz is not installed')
@pytest.mark.parametrize('ending', ['png', 'svg', 'pdf'])
def test_picture_is_written(barrier: Any, tmp_path: Path, ending: str) -> None:
    target = tmp_path / 'made' / f'graph.{ending}'
    assert save_graph(draw_provenance(barrier), target) == target
    assert target.stat().st_size > 1000


def test_without_dot_the_source_is_written(barrier: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PATH', str(tmp_path))
    assert save_graph(draw_provenance(barrier), tmp_path / 'graph.png') is None
    assert 'digraph' in (tmp_path / 'graph.dot').read_text()


def test_unknown_format_is_refused_by_name(barrier: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"graph\.bmp ends in '\.bmp'"):
        save_graph(draw_provenance(barrier), tmp_path / 'graph.bmp')
