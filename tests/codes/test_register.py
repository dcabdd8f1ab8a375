"""One code per environment: reused while nothing changes, replaced when something does, revived when it comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aiida_litraj.codes import SetupProblem, choose, register
from aiida_litraj.codes.bundle import ARCHIVE, engine_files

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


def test_same_settings_give_the_same_code(environment: Any, report: Any) -> None:
    first = register.register(environment, report)
    again = register.register(environment, report)
    assert (first.state, again.state) == ('new', 'same')
    assert again.code.uuid == first.code.uuid
    assert again.hidden_label is None


def test_code_ships_exactly_the_engine(environment: Any, report: Any) -> None:
    code = register.register(environment, report).code
    assert register.shipped_files(code) == engine_files()
    assert str(code.filepath_executable) == 'litraj-engine'
    assert code.prepend_text == f'# litraj: numpy 2.0\nexport LITRAJ_PYTHON="{environment.engine_python}"'


def test_what_the_probe_found_stays_with_the_code(environment: Any, report: Any) -> None:
    code = register.register(replace(environment, options={'queue_name': 'gpu'}), report).code
    assert choose.report_of(code) == report
    assert choose.families_of(code) == ['toy']
    assert choose.computer_of(code).label == environment.computer
    assert code.base.extras.get(register.OPTIONS) == {'queue_name': 'gpu'}


@pytest.mark.parametrize('change', ['shell', 'engine'])
def test_change_gives_a_new_code_under_the_same_name(
    environment: Any, report: Any, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiida.orm import load_code

    old = register.register(environment, report).code
    if change == 'shell':
        environment = replace(environment, prepend_text='module load cuda')
    else:
        monkeypatch.setattr(register, 'engine_files', lambda: {**engine_files(), ARCHIVE: b'new'})
    changed = register.register(environment, report)
    assert changed.state == 'replaced'
    assert changed.hidden_label == old.label != 'toy'
    assert load_code('toy').uuid == changed.code.uuid != old.uuid
    assert old.is_hidden
    assert [code.uuid for code in choose.list_codes()] == [changed.code.uuid]


def with_versions(report: Any, sevenn: str | None, torch: str, engine: str = '0.1.0') -> Any:
    """What the environment says after these versions were installed there."""
    toy, sevennet = report.families
    families = [toy, sevennet.model_copy(update={'available': sevenn is not None, 'version': sevenn})]
    packages = {'torch': torch, 'pydantic': '2.0'}
    return report.model_copy(update={'families': families, 'packages': packages, 'engine_version': engine})


@pytest.mark.parametrize('field', ['engine_python', 'installed'])
def test_update_of_a_package_changes_the_hash_and_gives_a_new_code(environment: Any, report: Any, field: str) -> None:
    environment = replace(environment, **{'engine_python': None, field: '/envs/sevennet/bin/program'})
    old = register.register(environment, with_versions(report, '0.13.0', '2.12.0')).code
    seen = {old.base.caching.compute_hash()}
    for sevenn, torch in (('0.14.0', '2.12.0'), ('0.14.0', '2.13.0+cu130'), (None, '2.13.0+cu130')):
        updated = with_versions(report, sevenn, torch)
        changed, again = register.register(environment, updated), register.register(environment, updated)
        assert (changed.state, again.state) == ('replaced', 'same')
        seen.add(changed.code.base.caching.compute_hash())
    assert len(seen) == 4
    back = register.register(environment, with_versions(report, '0.13.0', '2.12.0'))
    assert (back.state, back.code.uuid) == ('replaced', old.uuid)


def test_version_of_an_engine_counts_where_its_files_do_not(environment: Any, report: Any) -> None:
    installed = replace(environment, engine_python=None, installed='/opt/litraj-engine')
    updated = with_versions(report, '0.13.0', '2.13.0', engine='0.2.0')
    assert register.shell_of(installed, updated) == '# litraj: engine 0.2.0, numpy 2.0, sevenn 0.13.0, torch 2.13.0'
    assert 'engine' not in register.shell_of(environment, updated).splitlines()[0]


def test_what_an_environment_says_of_itself_is_never_run(environment: Any, report: Any) -> None:
    hostile = with_versions(report, '1\n$(touch made) `touch made`;touch made\\', '2')
    first, *rest = register.shell_of(environment, hostile).splitlines()
    assert first == '# litraj: numpy 2.0, sevenn 1___touch made_ _touch made__touch made_, torch 2'
    assert rest == environment.script.splitlines()


def test_going_back_revives_the_old_code(environment: Any, report: Any) -> None:
    old = register.register(environment, report).code
    other = register.register(replace(environment, prepend_text='module load cuda'), report).code
    back = register.register(environment, report)
    assert (back.state, back.code.uuid, back.code.label, back.code.is_hidden) == ('replaced', old.uuid, 'toy', False)
    assert other.is_hidden


def test_installed_engine(environment: Any, report: Any) -> None:
    installed = replace(environment, engine_python=None, installed='/opt/litraj-engine')
    first = register.register(installed, report)
    assert str(first.code.filepath_executable) == '/opt/litraj-engine'
    assert register.register(installed, report).code.uuid == first.code.uuid
    assert register.register(replace(installed, installed='/usr/bin/litraj-engine'), report).state == 'replaced'
    assert choose.computer_of(first.code).label == environment.computer


def test_choosing_a_code(environment: Any, report: Any) -> None:
    with pytest.raises(SetupProblem, match=r"no code with the family 'toy' \(codes: none yet\)"):
        choose.choose_code(None, 'toy')
    first = register.register(replace(environment, name='one'), report).code
    assert choose.choose_code(None, 'toy').uuid == first.uuid
    register.register(replace(environment, name='two', prepend_text='true'), report)
    with pytest.raises(SetupProblem, match=r'several codes fit: one, two\. Choose one with --code'):
        choose.choose_code(None, 'toy')
    named_after = register.register(replace(environment, prepend_text=':'), report).code
    assert choose.choose_code(None, 'toy').uuid == named_after.uuid
    assert choose.choose_code('one', 'toy').uuid == first.uuid


def test_unknown_code_lists_those_there_are(environment: Any, report: Any) -> None:
    register.register(environment, report)
    with pytest.raises(SetupProblem, match=r"no code 'nix' \(there are: toy\)"):
        choose.choose_code('nix', 'toy')
