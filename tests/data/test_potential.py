"""Potentials as nodes: checksums, form of the file, and that nothing in it is ever unpickled."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
from aiida.common.exceptions import ValidationError
from aiida.orm import load_node

from aiida_litraj.data import PotentialData

pytestmark = pytest.mark.usefixtures('aiida_profile')


class Boom:
    """Raises when unpickled."""

    def __reduce__(self) -> Any:
        return exec, ("raise AssertionError('a checkpoint was unpickled')",)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """An archive of the form torch writes, whose pickle must not be touched."""
    path = tmp_path / 'model v1.pth'
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('model/data.pkl', pickle.dumps(Boom()))
        archive.writestr('model/data/0', b'weights')
    return path


def test_checkpoint_is_kept_byte_by_byte(checkpoint: Path) -> None:
    node = PotentialData.from_file(
        checkpoint, 'sevennet', ['P', 'Li', 'O'], licence='MIT', citation='10.1/x', options={'modal': 'mpa'}
    ).store()
    node = load_node(node.pk)
    assert node.sha256 == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    with node.open() as handle:
        assert handle.read() == checkpoint.read_bytes()
    assert (node.label, node.filename, node.elements) == ('model v1', 'model v1.pth', ['Li', 'O', 'P'])
    spec = node.to_spec()
    assert (spec.family, spec.name, spec.file) == ('sevennet', None, 'potential.pth')
    assert (spec.sha256, spec.options) == (node.sha256, {'modal': 'mpa'})
    assert (node.licence, node.citation) == ('MIT', '10.1/x')


def test_hash_follows_the_numbers_and_not_the_name(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / 'same.pth'
    copy.write_bytes(checkpoint.read_bytes())
    first = PotentialData.from_file(checkpoint, 'sevennet', ['Li']).store()
    renamed = PotentialData.from_file(copy, 'sevennet', ['Li', 'O'], citation='10.1/y').store()
    other = PotentialData.from_file(copy, 'sevennet', ['Li'], options={'modal': 'mpa'}).store()
    assert renamed.citation == '10.1/y'
    assert first.base.caching.get_hash() == renamed.base.caching.get_hash()
    assert first.base.caching.get_hash() != other.base.caching.get_hash()


def test_packaged_potential() -> None:
    node = load_node(PotentialData.packaged('toy', 'morse', options={'depth': 0.5}).store().pk)
    assert node.to_spec().model_dump() == {
        'family': 'toy',
        'name': 'morse',
        'file': None,
        'sha256': None,
        'options': {'depth': 0.5},
    }
    assert node.covers(['Li', 'Xe']) == []
    assert PotentialData.packaged('toy', 'morse', elements=['Li']).covers(['Xe', 'Li', 'H']) == ['H', 'Xe']
    with pytest.raises(FileNotFoundError), node.open():
        pass


def test_checksum_that_does_not_match_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=f'has sha256 {"[0-9a-f]" * 64}, not {"0" * 64}'):
        PotentialData.from_file(checkpoint, 'sevennet', sha256='0' * 64)


def test_checkpoint_changed_before_storing_is_refused(checkpoint: Path) -> None:
    node = PotentialData.from_file(checkpoint, 'sevennet')
    node.base.repository.put_object_from_filelike(io.BytesIO(b'other'), 'potential')
    with pytest.raises(ValidationError, match='has sha256'):
        node.store()
    node = PotentialData.from_file(checkpoint, 'sevennet')
    node.base.repository.delete_object('potential')
    with pytest.raises(ValidationError, match='neither a name nor a checkpoint'):
        node.store()


@pytest.mark.parametrize('content', [b'', b'<html>404</html>', pickle.dumps(Boom()), b'PK\x05\x06' + 18 * b'\0'])
@pytest.mark.parametrize('family', ['sevennet', 'mace', 'chgnet'])
def test_file_that_is_no_potential_is_refused(tmp_path: Path, content: bytes, family: str) -> None:
    path = tmp_path / 'model.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'{path} is (empty|no {family} potential)'):
        PotentialData.from_file(path, family)


def test_file_of_another_family_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / 'parameters.json'
    path.write_text('{}')
    assert PotentialData.from_file(path, 'third_party').store().to_spec().file == 'potential.json'
    with pytest.raises(ValueError, match='no such file'):
        PotentialData.from_file(tmp_path / 'gone', 'third_party')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'family': 'Toy!'}, "'morse' is malformed: family"),
        ({'sha256': 'abc'}, "'morse' is malformed: sha256"),
        ({'elements': ['Li', 'Xx']}, "'morse': Xx is no element"),
    ],
)
def test_malformed_description_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PotentialData.packaged(**{'family': 'toy', 'name': 'morse', **arguments})
