"""Hops that a fine-tuning takes again: where they start, what is the reference, and what is no hop."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.common.links import LinkType
from aiida.orm import CalcJobNode, Dict, WorkChainNode

from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.finetune_hops import barriers_line, load_hops, print_barriers
from aiida_litraj.data import PathData
from tests.fixtures.nodes import potential, surface_path
from tests.workflows.test_finetune_hops import hill

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.fixture
def optimised(computer: Any) -> Any:
    """Return a function that stores a path as a NEB with a potential leaves it."""

    def make(start: PathData, family: str = 'toy') -> PathData:
        from aiida_litraj.data import PotentialData

        chosen = potential() if family == 'toy' else PotentialData.packaged(family, family)
        job = CalcJobNode(computer=computer, process_type='aiida.calculations:litraj.neb')
        job.base.links.add_incoming(start.store(), link_type=LinkType.INPUT_CALC, link_label='paths__hop')
        job.base.links.add_incoming(chosen.store(), link_type=LinkType.INPUT_CALC, link_label='potential')
        job.store()
        path = hill(0.5)
        path.base.links.add_incoming(job, link_type=LinkType.CREATE, link_label='paths__hop')
        return path.store()

    return make


def chain_of(kind: str, **outputs: Any) -> WorkChainNode:
    node = WorkChainNode(process_type=f'aiida.workflows:litraj.{kind}').store()
    for name, value in outputs.items():
        value.base.links.add_incoming(node, link_type=LinkType.RETURN, link_label=name)
    return node


def only(*texts: Any) -> dict[str, Any]:
    (hop,) = load_hops([str(text) for text in texts]).values()
    return hop


def test_a_path_starts_where_it_began_and_only_dft_is_a_reference(optimised: Any) -> None:
    start = surface_path()
    path, height = optimised(start), Dict({'barrier_ev': 0.5}).store()
    assert only(path.pk) == {'path': start}, 'a potential is no reference for another'
    assert only(chain_of('barrier', path=path, barrier=height).pk) == {'path': start}
    dft = chain_of('dft_neb', path=path, barrier=height)
    assert only(dft.pk) == {'path': start, 'reference': path, 'reference_barrier': height}
    by_dft = optimised(surface_path(n_images=7), 'gpaw')
    assert only(by_dft.pk)['reference'] == by_dft
    foreign = hill(0.3).store()
    assert only(foreign.pk) == {'path': foreign, 'reference': foreign}, 'not computed here'


def test_names_tell_hops_apart_and_what_is_no_path_is_refused(optimised: Any) -> None:
    one, other = optimised(surface_path()), optimised(surface_path(n_images=7))
    assert set(load_hops([str(one.pk), str(other.pk)])) == {f'Li_{one.pk}', f'Li_{other.pk}'}
    with pytest.raises(ValueError, match='given twice'):
        load_hops([str(one.pk), str(one.pk)])
    with pytest.raises(Refusal, match='neither a path nor a process'):
        load_hops([str(potential().store().pk)])
    with pytest.raises(ValueError, match='no data set'):
        load_hops(['nowhere/a_0'])


def test_what_is_printed_of_barriers(capsys: Any) -> None:
    found = {
        'converged': True, 'reason': None, 'barrier_ev': 0.4, 'barrier_error_ev': -0.1, 'path_error_ang': 0.05,
    }  # fmt: skip
    lost = {'converged': False, 'barrier_ev': None, 'barrier_error_ev': None, 'path_error_ang': None}
    hop = {
        'reference': {'kind': 'single_points', 'barrier_ev': 0.5},
        'potentials': {'zero_shot': found, 'seed_0': lost},
    }
    whole = {'zero_shot': 0.1, 'fine_tuned': {'mean': 0.02, 'std': None, 'n': 1}}
    barriers = {'hops': {'a': hop}, 'n_compared': 3, 'mae_barrier_ev': whole, 'path_error_ang': whole}
    print_barriers(barriers)
    said = capsys.readouterr().out
    assert 'single points' in said and '-0.100' in said and 'no path' in said
    assert 'Error of barriers (MAE): 0.100 eV of the parent, 0.020 eV fine-tuned, over 3 hops' in said
    assert barriers_line({'barriers': barriers}) == '; MAE of 3 barriers: 0.100 → 0.020 eV'
    assert barriers_line({}) == ''
