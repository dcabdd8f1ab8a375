"""Hops that are stored: where each began, what it is compared with, and how it is called."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.orm import CalcFunctionNode, CalcJobNode, Dict, QueryBuilder, WorkChainNode
from ase.io import read

from aiida_litraj.calculations.functions.initial_path import first_images
from aiida_litraj.calculations.neb import NebCalculation
from aiida_litraj.data import PathData
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.groups.hops import hop_name, hop_of_path, hops_of_process, hops_of_set
from tests.datasets.tiny import nebdft2k
from tests.fixtures.nodes import surface_path, vacancy_path

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Six paths of three materials as the publisher's, imported."""
    folder = nebdft2k(tmp_path)
    import_dataset(folder, 'nebDFT2k', workers=0)
    return folder


def made_of() -> int:
    filters = {'process_type': 'aiida.calculations:litraj.initial_path'}
    return QueryBuilder().append(CalcFunctionNode, filters=filters).count()


def test_an_entry_begins_with_its_initial_images(published: Path) -> None:
    """The very images of the file, which are others than the relaxed ones; nothing is frozen in them."""
    hops = hops_of_set('nebDFT2k')
    assert list(hops) == [f'mp_{n // 2}_{n}_3_0_0_m1' for n in range(6)]
    for hop in hops.values():
        images = read(published / f'{hop.reference.label}_init.xyz', ':')
        ours = hop.initial.to_images()
        for one, other in zip(ours, images, strict=True):
            away = one.positions - other.positions
            np.testing.assert_allclose(away - np.round(away @ np.linalg.inv(one.cell[:])) @ one.cell[:], 0, atol=1e-7)
        assert not np.allclose(hop.initial.get_positions()[1:], hop.reference.get_positions()[1:])
        assert hop.initial.fixed is None and hop.initial.energies is None
        assert hop.initial.mobile == hop.reference.mobile == 0
        assert hop.initial.labels['material_id'] == hop.reference.base.attributes.get('material_id')
        made = hop.initial.creator
        assert made.process_type == 'aiida.calculations:litraj.initial_path'
        assert made.inputs.entry.uuid == hop.reference.uuid


def test_beginnings_are_made_once(published: Path) -> None:
    first = {name: hop.initial.uuid for name, hop in hops_of_set('nebDFT2k', limit=2).items()}
    assert made_of() == 2
    second = {name: hop.initial.uuid for name, hop in hops_of_set('nebDFT2k').items()}
    assert made_of() == 6
    assert first.items() <= second.items()
    split = hops_of_set('nebDFT2k/test')
    assert {hop.initial.uuid for hop in split.values()} < set(second.values()) and len(split) == 2
    assert hop_of_path(split['mp_1_2_3_0_0_m1'].reference).initial.uuid == second['mp_1_2_3_0_0_m1']
    assert made_of() == 6


def test_sets_and_entries_that_are_no_paths() -> None:
    from tests.fixtures.sets import store_set

    store_set('made', n_entries=3)
    with pytest.raises(ValueError, match='entry mp-0_0 of made is no path'):
        hops_of_set('made')
    with pytest.raises(ValueError, match="there is no data set 'nothing'"):
        hops_of_set('nothing')
    with pytest.raises(ValueError, match=r'has no initial\.frames'):
        first_images(surface_path())


def optimised(
    start: PathData, height: float, computer: Any, name: str = 'hop', converged: bool | None = True
) -> PathData:
    """Return the path that a job has found, ``None`` for one that left no account."""
    job = CalcJobNode(computer=computer, process_type=NebCalculation.build_process_type())
    job.base.links.add_incoming(start.store(), link_type=LinkType.INPUT_CALC, link_label=f'paths__{name}')
    job.store()
    energies = height * np.sin(np.linspace(0, np.pi, start.n_images))
    path = PathData.from_arrays(
        list(start.symbols), start.get_positions(), start.cell, start.pbc, mobile=0, energies=energies
    )
    path.base.links.add_incoming(job, link_type=LinkType.CREATE, link_label=f'paths__{name}')
    if converged is not None:
        account = Dict({'items': {name: {'status': 'finished', 'converged': converged}}})
        account.base.links.add_incoming(job, link_type=LinkType.CREATE, link_label='results')
        account.store()
    return path.store()


def test_hops_of_a_chain_that_optimised_them(computer: Any) -> None:
    """What did not converge is no reference, what failed is a hop all the same, and all start where they began."""
    starts = {name: vacancy_path(ion=ion).store() for ion, name in ((0, 'good'), (2, 'bad'), (4, 'lost'))}
    ends = {name: optimised(starts[name], 0.4, computer, name) for name in ('good', 'bad')}
    account = Dict({'items': {'good': {'converged': True}, 'bad': {'converged': False}, 'lost': {'converged': False}}})
    chain = WorkChainNode(process_type='aiida.workflows:litraj.neb.packed')
    for name, path in starts.items():
        chain.base.links.add_incoming(path, link_type=LinkType.INPUT_WORK, link_label=f'neb__paths__{name}')
    chain.store()
    for label, node in {**{f'paths__{name}': path for name, path in ends.items()}, 'results': account.store()}.items():
        node.base.links.add_incoming(chain, link_type=LinkType.RETURN, link_label=label)
    hops = hops_of_process(chain)
    assert {name: hop.initial.uuid for name, hop in hops.items()} == {n: path.uuid for n, path in starts.items()}
    assert {name: hop.reference and hop.reference.uuid for name, hop in hops.items()} == {
        'good': ends['good'].uuid, 'bad': None, 'lost': None,
    }  # fmt: skip


def test_hop_of_a_single_path(computer: Any) -> None:
    start = surface_path()
    end = optimised(start, 0.4, computer)
    assert (hop_of_path(end).initial.uuid, hop_of_path(end).reference) == (start.uuid, end)
    assert (hop_of_path(start).initial, hop_of_path(start).reference) == (start, None)


@pytest.mark.parametrize('converged', [False, None])
def test_a_single_path_that_did_not_converge_is_no_reference(converged: bool | None, computer: Any) -> None:
    start = surface_path()
    hop = hop_of_path(optimised(start, 0.4, computer, converged=converged))
    assert (hop.initial.uuid, hop.reference) == (start.uuid, None)


@pytest.mark.parametrize('kind', ['benchmark', 'paths'])
def test_links_of_many_hops_are_read_as_often_as_those_of_few(kind: str, computer: Any) -> None:
    """Each look at the links of 1,681 hops takes a second, which is not to be had for each hop."""
    counts = [queries_of(partial(hops_of_process, many_hops(number, kind, computer))) for number in (3, 12)]
    assert counts[0] == counts[1] > 0


def many_hops(number: int, kind: str, computer: Any) -> WorkChainNode:
    """Return a chain of hops: a benchmark of them, or one whose paths a single job has found."""
    chain = WorkChainNode(process_type='aiida.workflows:litraj.neb.packed')
    starts = {f'hop{n}': surface_path().store() for n in range(number)}
    found = {name: surface_path().store() for name in starts}
    if kind == 'benchmark':
        for name, start in starts.items():
            chain.base.links.add_incoming(start, link_type=LinkType.INPUT_WORK, link_label=f'paths__{name}')
            label = f'references__{name}'
            chain.base.links.add_incoming(found[name], link_type=LinkType.INPUT_WORK, link_label=label)
        return chain.store()
    job = CalcJobNode(computer=computer, process_type=NebCalculation.build_process_type())
    for name, start in starts.items():
        job.base.links.add_incoming(start, link_type=LinkType.INPUT_CALC, link_label=f'paths__{name}')
    chain.store(), job.store()
    account = Dict({'items': {name: {'converged': True} for name in starts}}).store()
    for label, node in {**{f'paths__{name}': path for name, path in found.items()}, 'results': account}.items():
        for process, link in ((job, LinkType.CREATE), (chain, LinkType.RETURN)):
            node.backend_entity.add_incoming(process.backend_entity, link, label)
    return chain


def queries_of(action: Any) -> int:
    """Return how many queries an action makes for the links of nodes."""
    from aiida.manage import get_manager
    from sqlalchemy import event

    engine, said = get_manager().get_profile_storage().get_session().get_bind(), []

    def note(*arguments: Any) -> None:
        said.append(arguments[2])

    event.listen(engine, 'before_cursor_execute', note)
    try:
        action()
    finally:
        event.remove(engine, 'before_cursor_execute', note)
    return sum('dblink' in text for text in said)


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        ('mp-1_0_3_0_0_-1', 'mp_1_0_3_0_0_m1'),
        ('mp-1_0_3_0_0_1', 'mp_1_0_3_0_0_1'),
        ('mp-1_0_3_-1_0_-1', 'mp_1_0_3_m1_0_m1'),
        ('Li3PO4: hop 2', 'Li3PO4_hop_2'),
    ],
)
def test_names_keep_the_sign_of_an_offset(text: str, name: str) -> None:
    assert hop_name(text, ()) == name


def test_two_hops_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match='a/b: another hop is called a_b already'):
        hop_name('a/b', {'a_b'})
