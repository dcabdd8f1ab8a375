"""What there is of labels before their chain has ended, or where it never will."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase.io
import pytest
from aiida.engine import ProcessState
from click.testing import CliRunner

from aiida_litraj.cli import main
from aiida_litraj.cli.configurations import load_configurations
from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.evaluate import still_filled
from aiida_litraj.groups.export import export
from aiida_litraj.groups.label_chains import labels_given
from tests.fixtures.label_backend import SPRING_EV_PER_ANG2, springs
from tests.fixtures.labelling import Resumed, children, configuration, frames_of

NAME = 'my-labels'
pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


@pytest.fixture
def chain(inputs: Any) -> Any:
    """Of three configurations one is labelled, two are under way."""
    frames = frames_of(*[configuration(n) for n in (2, 3, 4)], entry_ids=['two', 'three', 'four'])
    resumed = Resumed(inputs(frames, dataset=NAME))
    resumed.step('advance')
    node = resumed.chain.node
    node.set_process_state(ProcessState.WAITING)
    first = children(node)[0]
    resumed.end(first, springs(first.inputs.structure))
    resumed.step('advance')
    return node


def ask(*arguments: Any) -> str:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    return str(done.output)


def test_labels_there_are_shown_drawn_and_exported(chain: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('COLUMNS', '300')
    assert f'1 of 3 labelled, under way; kept in {NAME} ' in ask('show', chain.pk)
    assert f'Labels so far: aiida-litraj show {chain.pk}.' in ask('status', chain.pk)
    told = f'chain {chain.pk} is still labelling into {NAME}: 1 of 3'
    assert told in ask('dataset', 'export', chain.pk, '-o', tmp_path / 'some.xyz')
    assert still_filled(f'{NAME}/train') == [told] and still_filled(None) == still_filled('other') == []
    with pytest.raises(Refusal, match=told):
        load_configurations([str(chain.pk)])
    with pytest.raises(ValueError, match=r'still labelling.*an archive takes'):
        export(str(chain.pk), 'archive', tmp_path / 'some.aiida')
    chain.set_process_state(ProcessState.KILLED)
    content = json.loads(ask('show', chain.pk, '--json'))
    assert (content['labelled'], content['total'], content['state']) == (1, 3, 'killed')
    rows = [(one['entry_id'], one['status'], one['attempts']) for one in content['items']]
    assert rows == [('two', 'labelled', 1), ('three', 'killed', 1), ('four', 'killed', 1)]
    assert f'1 of 3 labelled, killed; kept in {NAME}; the same launch makes the rest' in ask('show', chain.pk)
    drawn = tmp_path / 'labels.svg'
    ask('plot', chain.pk, '-o', drawn)
    assert f'1 of 3 labelled, killed; kept in {NAME}' in ' '.join(drawn.read_text().split())
    (atoms,) = ase.io.read(tmp_path / 'some.xyz', index=':')
    assert atoms.info['uuid'] == next(iter(labels_given(chain).values())).uuid and atoms.info['entry_id'] == 'two'
    assert atoms.get_potential_energy() == pytest.approx(
        0.5 * SPRING_EV_PER_ANG2 * (configuration(2).positions ** 2).sum(), abs=1e-9
    )
    assert still_filled(NAME) == []


def test_chain_without_any_label_says_what_is_true(inputs: Any) -> None:
    resumed = Resumed(inputs(frames_of(configuration(2))))
    resumed.step('advance')
    node = resumed.chain.node
    node.set_process_state(ProcessState.WAITING)
    for command in (('show',), ('plot',)):
        done = CliRunner().invoke(main, [*command, str(node.pk)])
        assert done.exit_code and 'has not ended yet' in done.output
    with pytest.raises(ValueError, match='still labelling: 0 of 1: there is no label yet'):
        export(str(node.pk), 'extxyz', Path('nothing.xyz'))
