"""Builders of the restarting chain: every number of a protocol filled in, and what is refused with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiida.orm import Dict, QueryBuilder, WorkChainNode

from aiida_litraj.contract.errors import BY_LABEL
from aiida_litraj.data import PotentialData
from aiida_litraj.workflows.neb import NebBaseWorkChain
from tests.fixtures.nodes import neb_parameters, potential, surface_path


@pytest.mark.parametrize('protocol', NebBaseWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, launcher_code: Any, data_regression: Any) -> None:
    builder = NebBaseWorkChain.get_builder_from_protocol(
        launcher_code, {'hop': surface_path()}, potential('morse'), protocol, options={'device': 'cpu'}
    )
    assert builder.neb.parameters.label == protocol
    data_regression.check(
        {
            'code': builder.neb.code.label,
            'paths': {name: path.n_images for name, path in builder.neb.paths.items()},
            'potential': builder.neb.potential.to_spec().model_dump(mode='json'),
            'parameters': builder.neb.parameters.get_dict(),
            'options': {name: builder.neb.metadata.options[name] for name in ('device',)},
        }
    )


def test_builder_by_default_and_with_changes(launcher_code: Any, tmp_path: Path) -> None:
    given = (launcher_code, {'hop': surface_path()}, potential('morse'))
    plain = NebBaseWorkChain.get_builder_from_protocol(*given)
    balanced = NebBaseWorkChain.get_builder_from_protocol(*given, protocol='balanced')
    assert plain.neb.parameters.get_dict() == balanced.neb.parameters.get_dict()
    changes = {'parameters': {'band': {'max_steps': 7}, 'seed': 3}}
    changed = NebBaseWorkChain.get_builder_from_protocol(*given, overrides=changes, verify_saddle=True)
    expected = plain.neb.parameters.get_dict()
    expected['band']['max_steps'], expected['seed'] = 7, 3
    expected['verify_saddle'] = NebBaseWorkChain.get_protocol_inputs()['saddle']
    assert changed.neb.parameters.get_dict() == expected
    file = tmp_path / 'changes.yaml'
    file.write_text('parameters:\n  seed: 5\n')
    assert NebBaseWorkChain.get_builder_from_protocol(*given, overrides=file).neb.parameters['seed'] == 5


BAD: dict[str, tuple[dict[str, Any], str]] = {
    'protocol': ({'protocol': 'fast'}, r"protocol 'fast' is not known; there are: balanced, tight, litraj-2025"),
    'section': ({'overrides': {'parameter': {}}}, r"override 'parameter' = {} is not known; there are: geometry"),
    'field': ({'overrides': {'parameters': {'fmax': 1}}}, r'parameters\.fmax = 1 is not known'),
    'field below': ({'overrides': {'parameters': {'band': {'fmax': 1}}}}, r'band\.fmax = 1 is not known, but fmax_ev'),
    'value': ({'overrides': {'parameters': {'band': {'max_steps': -1}}}}, r'parameters\.band\.max_steps = -1'),
    'no mapping': ({'overrides': {'parameters': 3}}, r'override parameters = 3: give a mapping'),
    'no file': ({'overrides': Path('/nowhere.yaml')}, r'overrides /nowhere\.yaml: .*No such file'),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_bad_protocol_or_override_is_refused(case: str, launcher_code: Any) -> None:
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        NebBaseWorkChain.get_builder_from_protocol(
            launcher_code, {'hop': surface_path()}, potential('morse'), **arguments
        )


def test_overrides_that_do_not_parse_are_refused(launcher_code: Any, tmp_path: Path) -> None:
    for content, message in (('a: [1', 'while parsing'), ('- 1', 'holds no mapping')):
        file = tmp_path / 'changes.yaml'
        file.write_text(content)
        with pytest.raises(ValueError, match=message):
            NebBaseWorkChain.get_builder_from_protocol(
                launcher_code, {'hop': surface_path()}, potential('morse'), overrides=file
            )


def test_bad_paths_are_refused_with_the_builder(launcher_code: Any) -> None:
    toy = PotentialData.packaged('toy', 'morse', elements=['O'], label='oxides')
    with pytest.raises(ValueError, match="potential 'oxides' does not cover Li"):
        NebBaseWorkChain.get_builder_from_protocol(launcher_code, {'hop': surface_path()}, toy)
    with pytest.raises(ValueError, match='2 images'):
        NebBaseWorkChain.get_builder_from_protocol(launcher_code, {'hop': surface_path(n_images=2)}, potential('morse'))


def test_chain_knows_every_code_of_the_table() -> None:
    for label, code in BY_LABEL.items():
        assert NebBaseWorkChain.exit_codes[label].status == code.status
    assert NebBaseWorkChain.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED.status == 401


def test_bad_input_of_a_job_stops_the_chain_before_it_is_stored(instantiate: Any, neb_inputs: Any) -> None:
    before = QueryBuilder().append(WorkChainNode).count()
    parameters = Dict({**neb_parameters().get_dict(), 'dtype': 'float16'})
    with pytest.raises(ValueError, match=r"parameters\.dtype = 'float16'"):
        instantiate(NebBaseWorkChain, {'neb': {**neb_inputs(), 'parameters': parameters}})
    assert QueryBuilder().append(WorkChainNode).count() == before
