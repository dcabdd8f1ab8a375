"""Restarting relaxations: builders of each protocol, what is refused with them, and which structures go on."""

from __future__ import annotations

from typing import Any

import pytest
from aiida.orm import Dict

from aiida_litraj.calculations.relax import RelaxCalculation
from aiida_litraj.contract.relax import RelaxItemResult
from aiida_litraj.contract.result import Progress
from aiida_litraj.contract.verdict import judge
from aiida_litraj.data import PotentialData
from aiida_litraj.workflows.relax import RelaxBaseWorkChain
from tests.fixtures.nodes import Job, fcc, potential, rattled

CODES = RelaxCalculation.exit_codes


@pytest.mark.parametrize('protocol', RelaxBaseWorkChain.get_available_protocols())
def test_builder_of_a_protocol(protocol: str, launcher_code: Any, data_regression: Any) -> None:
    builder = RelaxBaseWorkChain.get_builder_from_protocol(
        launcher_code, {'fcc': fcc()}, potential('morse'), protocol, options={'device': 'cpu'}
    )
    assert builder.relax.parameters.label == protocol
    data_regression.check(
        {
            'parameters': builder.relax.parameters.get_dict(),
            'structures': {name: len(structure.sites) for name, structure in builder.relax.structures.items()},
            'potential': builder.relax.potential.to_spec().model_dump(mode='json'),
            'options': {'device': builder.relax.metadata.options.device},
        }
    )


def test_builder_by_default_and_with_changes(launcher_code: Any) -> None:
    given = (launcher_code, {'fcc': fcc()}, potential('morse'))
    plain = RelaxBaseWorkChain.get_builder_from_protocol(*given).relax.parameters.get_dict()
    assert plain == RelaxBaseWorkChain.get_builder_from_protocol(*given, 'balanced').relax.parameters.get_dict()
    changes = {'parameters': {'pressure_gpa': 3.0, 'cell': 'isotropic'}}
    changed = RelaxBaseWorkChain.get_builder_from_protocol(*given, overrides=changes).relax.parameters.get_dict()
    assert changed == {**plain, 'pressure_gpa': 3.0, 'cell': 'isotropic'}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    'protocol': ({'protocol': 'loose'}, r"protocol 'loose' is not known; there are: balanced, tight, symmetric, ions"),
    'section': ({'overrides': {'cell': {}}}, r"override 'cell' = {} is not known; there are: parameters"),
    'field': ({'overrides': {'parameters': {'pressure': 1}}}, r'parameters\.pressure = 1 is not known, but pressure'),
    'pressure on a fixed cell': (
        {'protocol': 'ions', 'overrides': {'parameters': {'pressure_gpa': 1.0}}}, r'with a fixed cell has no effect',
    ),
    'nothing': ({'structures': {}}, r'structures: none given'),
    'elements': (
        {'potential': lambda: PotentialData.packaged('toy', 'morse', elements=['O'], label='oxides')},
        r"potential 'oxides' does not cover Li",
    ),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
def test_what_cannot_be_run_is_refused_with_the_builder(case: str, launcher_code: Any) -> None:
    changes, message = BAD[case]
    arguments = {key: value() if callable(value) else value for key, value in changes.items()}
    with pytest.raises(ValueError, match=message):
        RelaxBaseWorkChain.get_builder_from_protocol(
            **{'code': launcher_code, 'structures': {'fcc': fcc()}, 'potential': potential('morse'), **arguments}
        )


def entry(status: str, label: str | None = None) -> dict[str, Any]:
    """How a structure of a faked job ended."""
    made = RelaxItemResult(
        id='x', status=status, converged=label is None, label=label,  # type: ignore[arg-type]
        reason=label and 'so it was', model_calls=7,
    )  # fmt: skip
    return made.model_dump(mode='json', exclude={'id'})


@pytest.fixture
def chain(instantiate: Any, relax_inputs: Any, job_node: Any) -> Any:
    """``chain(status, items, structures)`` lets a job of a chain of two structures end and says what is made of it."""
    process = instantiate(RelaxBaseWorkChain, {'relax': relax_inputs({'a': fcc(), 'b': rattled()})})
    process.setup()
    process.ctx.children = []

    def job(status: int, items: dict[str, Any], structures: dict[str, Any] | None = None) -> Any:
        ended = judge([RelaxItemResult(id=name, **each) for name, each in items.items()], 'structures')
        results = {'schema_version': 1, 'task': 'relax', 'exit': ended.model_dump(), 'items': items, 'audit': None}
        calls = 7 * (len(process.ctx.children) + 1)
        progress = Progress(
            task='relax', n_items=2, n_finished=0, n_converged=0, n_active=2, model_calls=calls,
            resumed_calls=calls - 7, wall_seconds=1.0, updated_at='',
        ).model_dump_json().encode()  # fmt: skip
        outputs = {'results': Dict(results), **({'structures': structures} if structures else {})}
        inputs = {'structures': dict(process.ctx.inputs.structures)}
        process.ctx.children.append(job_node(inputs, Job(status, progress=progress, outputs=outputs, task='relax')))
        process.ctx.iteration += 1
        return process.inspect_process()

    job.process = process  # type: ignore[attr-defined]
    return job


OPEN = entry('unfinished', 'ERROR_OUT_OF_TIME')


@pytest.mark.parametrize('code', [CODES.ERROR_OUT_OF_TIME, CODES.ERROR_RESULT_MISSING], ids=lambda code: code.status)
def test_structures_that_were_cut_off_go_on(chain: Any, code: Any) -> None:
    process = chain.process
    assert chain(code.status, {'a': entry('finished'), 'b': OPEN}, {'a': fcc()}).status == 0
    assert set(process.ctx.inputs.structures) == {'b'}
    assert process.ctx.inputs.parent_folder.pk == process.ctx.children[0].outputs.remote_folder.pk
    assert chain(0, {'b': entry('finished')}, {'b': fcc()}) is None
    process.results()
    assert process.verdict() is None
    assert set(process.outputs['structures']) == {'a', 'b'}
    assert process.outputs['results']['exit']['message'] == 'all structures converged'


def test_structure_that_did_not_converge_is_not_done_again(chain: Any) -> None:
    items = {'a': entry('finished'), 'b': entry('finished', 'ERROR_STRESS_LEFT')}
    assert chain(501, items, {'a': fcc(), 'b': fcc()}).status == 0
    chain.process.results()
    assert chain.process.verdict()[:2] == (501, '1 of 2 structures converged')
    assert set(chain.process.outputs['structures']) == {'a', 'b'}
    assert chain.process.largest() == 4
