"""What inputs of a calculation could smuggle in: shell by names, paths by files, secrets into the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.calculations.neb import NebCalculation
from aiida_litraj.contract import files
from aiida_litraj.data import PotentialData
from tests.fixtures.nodes import vacancy_path

NAMES = [
    '../a',
    '/etc/passwd',
    'a/b',
    '-rf',
    'a b',
    'a\n',
    'a;b',
    '$(touch canary)',
    '`id`',
    '*',
    'ä',
    '.',
    '..',
    '__a',
]


@pytest.mark.parametrize('name', NAMES, ids=ascii)
def test_name_of_an_item_is_a_plain_one(name: str, instantiate: Any, neb_inputs: Any) -> None:
    """It is that of files on the computer."""
    with pytest.raises(ValueError, match=r'letters, digits and|not valid|Invalid|does not match|invalid'):
        instantiate(NebCalculation, neb_inputs({name: vacancy_path(1)}))


@pytest.mark.parametrize(
    'name',
    ['x.$(touch canary)', 'x.`id`', 'x.p th', 'x.pth\n', '-rf', '..', 'x.;id', 'x.ä', 'torch.py', 'ü.pth', '$(id).pth'],
    ids=ascii,
)
def test_name_of_a_checkpoint_does_not_travel(name: str, tmp_path: Path, prepare: Any, neb_inputs: Any) -> None:
    """But its suffix, where that is letters and digits."""
    source = tmp_path / 'source'
    source.write_bytes(b'{}')
    node = PotentialData.from_file(source, 'toy')
    node.base.attributes.set('filename', name)
    info, folder = prepare(NebCalculation, neb_inputs(evaluated_by=node))
    ((_, _, staged),) = info.local_copy_list
    assert staged in ('potential', 'potential.pth', 'potential.py')
    assert {path.name for path in folder.iterdir()} == {files.JOB, files.ARRAYS}


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ({'environment_variables': {'HF_TOKEN': 'abc'}}, r'environment_variables\.HF_TOKEN'),
        ({'prepend_text': 'export MY_SECRET=abc'}, 'prepend_text, MY_SECRET'),
        ({'custom_scheduler_commands': 'export API_KEY=abc'}, 'custom_scheduler_commands, API_KEY'),
    ],
)
def test_secret_among_the_options_is_refused_before_it_is_stored(
    options: dict[str, Any], named: str, instantiate: Any, neb_inputs: Any
) -> None:
    with pytest.raises(
        ValueError, match=rf'metadata\.options\.{named} looks like a secret.*export \w+=\$\(cat'
    ) as found:
        instantiate(NebCalculation, neb_inputs(**options))
    assert 'abc' not in str(found.value)
