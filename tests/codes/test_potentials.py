"""Potentials are imported once, and only after the engine of a code has loaded them."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.calculations.validation import PROBE_EXTRA
from aiida_litraj.codes import SetupProblem, potentials
from aiida_litraj.codes.potentials import Request, import_potential, known_texts, load_potential
from aiida_litraj.codes.register import register
from aiida_litraj.contract.potential import PotentialReport
from aiida_litraj.data import PotentialData

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')
SHA256 = 'ab' * 32


@pytest.fixture
def code(environment: Any, report: Any) -> Any:
    return register(environment, report).code


@pytest.fixture
def loaded(code: Any, report: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """An engine that loads every file and says that it covers lithium and sulfur; what it was asked is recorded."""
    asked: list[Any] = []
    code.base.extras.delete(PROBE_EXTRA)  # of an environment without an answer nothing is known to be missing

    def probe(code: Any, spec: Any, file: Any) -> Any:
        asked.append((spec, file))
        found = PotentialReport(
            family=spec.family, name=spec.name, file=spec.file, sha256=spec.sha256 or SHA256, elements=['S', 'Li'],
            cutoff_ang=5.0,
        )  # fmt: skip
        return report.model_copy(update={'potential': found})

    monkeypatch.setattr(potentials, 'probe_code', probe)
    return asked


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A file with the outer form of a checkpoint; nothing in the tests loads it."""
    path = tmp_path / 'small.model'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('small/data.pkl', b'not a pickle')
    return path


@pytest.mark.parametrize(('family', 'remedy'), [('sevennet', 'pip install sevenn'), ('nequip', 'install a package')])
def test_family_that_the_environment_lacks_is_refused_before_the_engine_is_asked(
    code: Any, monkeypatch: pytest.MonkeyPatch, family: str, remedy: str
) -> None:
    monkeypatch.delattr(potentials, 'probe_code')
    with pytest.raises(ValueError, match=f"lacks the potential family '{family}'.*{remedy}"):
        import_potential(Request(family, name='any', sha256=SHA256), code)


def test_importing_twice_gives_the_same_node(code: Any) -> None:
    request = Request('toy', name='mueller_brown')
    node, created = import_potential(request, code)
    again, created_again = import_potential(request, code)
    assert (created, created_again) == (True, False)
    assert again.uuid == node.uuid
    assert (node.label, node.licence) == ('mueller_brown', 'MIT')
    assert 'Mueller' in node.citation
    assert load_potential('mueller_brown').uuid == load_potential(str(node.pk)).uuid == node.uuid


def test_other_options_are_another_potential(code: Any) -> None:
    low, _ = import_potential(Request('toy', name='double_well', options={'height': 0.3}, label='low'), code)
    high, _ = import_potential(Request('toy', name='double_well', options={'height': 0.9}, label='high'), code)
    assert low.uuid != high.uuid
    assert low.sha256 != high.sha256


def test_label_of_another_potential_is_refused(code: Any) -> None:
    import_potential(Request('toy', name='morse'), code)
    with pytest.raises(SetupProblem, match="the label 'morse' belongs to another potential"):
        import_potential(Request('toy', name='double_well', label='morse'), code)


def test_new_label_renames(code: Any) -> None:
    node, _ = import_potential(Request('toy', name='morse'), code)
    again, created = import_potential(Request('toy', name='morse', label='pairs'), code)
    assert (created, again.uuid, again.label) == (False, node.uuid, 'pairs')


def test_name_the_engine_does_not_know_is_refused(code: Any) -> None:
    with pytest.raises(SetupProblem, match=r'morze.*double_well, ideal_gas, morse, mueller_brown'):
        import_potential(Request('toy', name='morze'), code)
    assert potentials.list_potentials() == []


def test_elements_and_range_are_what_the_engine_says(code: Any, loaded: list[Any], checkpoint: Path) -> None:
    request = Request('mace', file=checkpoint, licence='CC0', label='li-s')
    node, _ = import_potential(request, code)
    assert (node.elements, node.cutoff_ang, node.licence, node.label) == (['Li', 'S'], 5.0, 'CC0', 'li-s')
    spec, file = loaded[0]
    assert (spec.sha256, file) == (node.sha256, checkpoint)
    with node.open() as handle:
        assert handle.read() == checkpoint.read_bytes()
    checkpoint.rename(checkpoint.with_name('renamed.model'))
    again, created = import_potential(replace(request, file=checkpoint.with_name('renamed.model')), code)
    assert (created, again.uuid) == (False, node.uuid)


def test_file_with_another_checksum_never_reaches_the_engine(code: Any, loaded: list[Any], checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=f'not {SHA256}'):
        import_potential(Request('mace', file=checkpoint, sha256=SHA256), code)
    assert loaded == []


def test_file_that_is_no_potential_never_reaches_the_engine(code: Any, loaded: list[Any], tmp_path: Path) -> None:
    path = tmp_path / 'notes.model'
    path.write_text('shopping list')
    with pytest.raises(ValueError, match=r'notes\.model is no mace potential'):
        import_potential(Request('mace', file=path), code)
    with pytest.raises(ValueError, match='no such file'):
        import_potential(Request('mace', file=tmp_path / 'nowhere.model'), code)
    assert loaded == []


def test_packaged_checkpoint_of_another_version_is_refused(code: Any, loaded: list[Any], report: Any) -> None:
    other = PotentialReport(family='sevennet', name='7net-0', sha256='cd' * 32)
    potentials.probe_code = lambda *_: report.model_copy(update={'potential': other})  # type: ignore[attr-defined]
    with pytest.raises(SetupProblem, match=f'has sha256 {"cd" * 32}, not {SHA256}'):
        import_potential(Request('sevennet', name='7net-0', sha256=SHA256), code)


def test_unknown_potential_says_how_to_import_it(code: Any) -> None:
    with pytest.raises(SetupProblem, match='potential import --family toy --name morse'):
        load_potential('morse')
    with pytest.raises(SetupProblem, match=r"no potential 'nix' \(there are: none yet\)"):
        load_potential('nix')


def test_known_texts() -> None:
    assert known_texts('sevennet', '7net-0')['licence'] == 'MIT'
    assert 'J. Am. Chem. Soc.' in known_texts('sevennet', '7net-mf-0')['citation']
    assert known_texts('mace', 'medium-omat-0')['licence'].startswith('Academic')
    assert known_texts('nequip', 'x') == {}


def test_same_numbers_twice_are_one_by_name(code: Any, tmp_path: Path) -> None:
    """As a training leaves them that was taken from the cache; other numbers of that name have to be told apart."""
    path = tmp_path / 'fit.json'
    path.write_text('{}')
    first, again = (PotentialData.from_file(path, 'toy', label='fit').store() for _ in range(2))
    assert first.pk != again.pk and load_potential('fit').pk == first.pk
    path.write_text('{ }')
    other = PotentialData.from_file(path, 'toy', label='fit').store()
    with pytest.raises(SetupProblem, match=rf"several potentials are called 'fit' \(pk {first.pk}, .*{other.pk}\)"):
        load_potential('fit')
