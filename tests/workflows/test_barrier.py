"""From crystal and hop to a barrier: builders, the path that is built, and what the chain hands on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import Dict, WorkChainNode

from aiida_litraj.data import PathData
from aiida_litraj.workflows.barrier import ITEM, BarrierWorkChain
from aiida_litraj.workflows.neb import NebBaseWorkChain
from tests.fixtures.crystals import GEOMETRY, HOP, INTERSTICE, between
from tests.fixtures.nodes import FCC_CONSTANT, fcc, fcc_sites, flat, potential


@pytest.mark.parametrize('protocol', BarrierWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, launcher_code: Any, computer: Any, data_regression: Any) -> None:
    builder = BarrierWorkChain.get_builder_from_protocol(
        launcher_code, potential('morse'), fcc(), HOP, protocol=protocol, computer=computer, options={'device': 'cpu'}
    )
    assert {builder.geometry.label, builder.neb.neb.parameters.label} == {protocol}
    data_regression.check(
        {
            'structure': builder.structure.get_formula(),
            'hop': builder.hop.get_dict(),
            'geometry': builder.geometry.get_dict(),
            'potential': builder.potential.to_spec().model_dump(mode='json'),
            'code': builder.neb.neb.code.label,
            'computer': builder.neb.neb.metadata.computer.label,
            'options': {'device': builder.neb.neb.metadata.options['device']},
            'parameters': builder.neb.neb.parameters.get_dict(),
        }
    )


def test_two_structures_may_be_given_instead(launcher_code: Any) -> None:
    ends = {key: value for key, value in between(['Li', 'O', 'Na'], ['Li', 'O', 'Na']).items() if value is not None}
    builder = BarrierWorkChain.get_builder_from_protocol(
        launcher_code, potential('morse'), **ends, overrides={'geometry': GEOMETRY}
    )
    assert builder.initial_structure.uuid == ends['initial_structure'].uuid
    assert 'structure' not in builder._inputs(prune=True)
    assert builder.geometry['n_images'] == 5


def built(process: Any) -> PathData:
    process.build()
    path: PathData = process.ctx.path
    assert process.outputs['initial_path'].pk == path.pk
    return path


def test_path_of_a_vacancy_hop(instantiate: Any, barrier_inputs: Any) -> None:
    """Known by hand: 2 x 2 x 2 cells of four atoms less the one at the target, the ion going half a face diagonal."""
    path = built(instantiate(BarrierWorkChain, barrier_inputs(hop={'source': 0, 'target': 1, 'offset': [0, -1, 0]})))
    assert (path.n_images, path.natoms, path.mobile) == (5, 31, 0)
    half = FCC_CONSTANT / 2
    np.testing.assert_allclose(path.hop_displacement, [0.0, -half, half], atol=1e-12)
    np.testing.assert_allclose(path.cell, 2 * FCC_CONSTANT * np.eye(3))
    # the empty site is the copy of site 1 that the vector reaches: its image in the cell at y = 3/2 of the constant
    present = np.mod(path.get_positions()[0], 2 * FCC_CONSTANT)
    left = [site for site in fcc_sites(2) if np.linalg.norm(present - site, axis=1).min() > 1e-6]
    np.testing.assert_allclose(left, [[0.0, 3 * half, half]], atol=1e-9)
    assert path.creator.process_type == 'aiida.calculations:litraj.build_hop'
    assert path.labels['offset'] == [0, -1, 0]


def test_path_of_an_interstitial_hop(instantiate: Any, barrier_inputs: Any) -> None:
    hop = {'source': 0, 'target': INTERSTICE, 'mechanism': 'interstitial'}
    path = built(instantiate(BarrierWorkChain, barrier_inputs(hop=hop)))
    assert path.natoms == 32
    np.testing.assert_allclose(path.hop_displacement, np.full(3, FCC_CONSTANT / 2))


def test_path_between_two_structures(instantiate: Any, barrier_inputs: Any) -> None:
    path = built(instantiate(BarrierWorkChain, barrier_inputs(**between(['Li', 'O', 'Na'], ['Li', 'O', 'Na']))))
    assert (path.n_images, path.mobile, path.symbols) == (5, 0, ['Li', 'O', 'Na'])
    np.testing.assert_allclose(path.hop_displacement, [1.2, 0.0, 0.0])
    assert path.creator.process_type == 'aiida.calculations:litraj.build_path'


def optimised(initial: PathData) -> PathData:
    """A path with a symmetric profile of 0.3 eV."""
    shape = (initial.n_images, initial.natoms, 3)
    profile = 0.3 * np.sin(np.linspace(0.0, np.pi, initial.n_images)) ** 2
    return PathData.from_arrays(
        initial.symbols, initial.get_positions(), initial.cell, initial.pbc, initial.mobile, profile, np.zeros(shape),
        neb_forces=np.zeros(shape),
    )  # fmt: skip


def account(converged: bool) -> Dict:
    item = {
        'status': 'finished', 'converged': converged, 'label': None if converged else 'ERROR_NOT_CONVERGED',
        'reason': None if converged else 'residual force 0.2', 'n_steps': 4, 'fmax_ev_per_ang': 0.01, 'band_calls': 12,
        'endpoint_calls': 5, 'saddle_calls': 0, 'negative_modes': None,
    }  # fmt: skip
    return Dict({'items': {ITEM: item}, 'audit': {'potential': {'sha256': 'ab' * 32}, 'engine_version': '0.1.0'}})


class Ended:
    """A faked restarting chain."""

    def __init__(self, ended: int | ProcessState, outputs: dict[str, Any]) -> None:
        self.node = WorkChainNode(process_type='aiida.workflows:litraj.neb.base')
        self.node.set_process_label('NebBaseWorkChain')
        self.node.store()
        for label, value in flat(outputs):
            value.store()
            value.base.links.add_incoming(self.node, link_type=LinkType.RETURN, link_label=label)
        if isinstance(ended, ProcessState):
            self.node.set_process_state(ended)
        else:
            self.node.set_process_state(ProcessState.FINISHED)
            self.node.set_exit_status(ended)
            self.node.set_exit_message(f'message {ended}')


def test_barrier_of_a_converged_path(instantiate: Any, barrier_inputs: Any) -> None:
    process = instantiate(BarrierWorkChain, barrier_inputs())
    path = built(process)
    process.ctx.neb = Ended(0, {'results': account(True), 'paths': {ITEM: optimised(path)}}).node
    assert process.inspect() is None
    barrier = process.outputs['barrier']
    assert barrier['barrier_ev'] == pytest.approx(0.3, abs=1e-12)
    assert (barrier['converged'], barrier['model_calls'], barrier['potential_sha256']) == (True, 17, 'ab' * 32)
    assert barrier.creator.process_type == 'aiida.calculations:litraj.extract_barrier'
    assert process.outputs['path'].uuid == process.ctx.neb.outputs.paths[ITEM].uuid
    assert process.outputs['results'].uuid == process.ctx.neb.outputs.results.uuid


def test_barrier_of_a_path_that_did_not_converge_is_kept_with_a_warning(instantiate: Any, barrier_inputs: Any) -> None:
    process = instantiate(BarrierWorkChain, barrier_inputs())
    path = built(process)
    process.ctx.neb = Ended(500, {'results': account(False), 'paths': {ITEM: optimised(path)}}).node
    ended = process.inspect()
    assert (ended.status, ended.message) == (500, 'message 500')
    barrier = process.outputs['barrier']
    assert not barrier['converged']
    assert 'not converged: residual force 0.2' in barrier['warnings']


@pytest.mark.parametrize('status', [201, 303, 401, 402, 410, 501])  # one of each range, and aiida-core's own
def test_chain_that_failed_hands_its_code_on(status: int, instantiate: Any, barrier_inputs: Any) -> None:
    process = instantiate(BarrierWorkChain, barrier_inputs())
    process.ctx.neb = Ended(status, {'results': account(False)}).node
    ended = process.inspect()
    assert (ended.status, ended.message) == (status, f'message {status}')
    assert 'results' in process.outputs
    assert 'barrier' not in process.outputs


@pytest.mark.parametrize(('state', 'status'), [(ProcessState.EXCEPTED, 301), (ProcessState.KILLED, 302)])
def test_chain_that_did_not_finish(state: ProcessState, status: int, instantiate: Any, barrier_inputs: Any) -> None:
    process = instantiate(BarrierWorkChain, barrier_inputs())
    process.ctx.neb = Ended(state, {}).node
    assert process.inspect().status == status


def test_inputs_of_the_restarting_chain(instantiate: Any, barrier_inputs: Any, monkeypatch: Any) -> None:
    process = instantiate(BarrierWorkChain, barrier_inputs())
    path = built(process)
    submitted: dict[str, Any] = {}
    monkeypatch.setattr(process, 'submit', lambda chain, **inputs: submitted.update(chain=chain, **inputs) or path)
    process.run_neb()
    assert submitted['chain'] is NebBaseWorkChain
    assert submitted['neb'].paths == {ITEM: path}
    assert submitted['neb'].potential == process.inputs.potential
    assert submitted['neb'].parameters == process.inputs.neb.neb.parameters
    assert submitted['metadata'].call_link_label == 'neb'
