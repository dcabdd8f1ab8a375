"""An interatomic potential as a node: a checkpoint, or the name of one that a package carries."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from aiida.common.exceptions import ValidationError
from aiida.orm import Data
from aiida.orm.pydantic import OrmMetadataField
from ase.data import chemical_symbols
from pydantic import ValidationError as InvalidSpec

from ..contract.potential import PotentialSpec

Option = str | int | float | bool
REPOSITORY_NAME = 'potential'
"""One name for every checkpoint, so that the same bytes hash the same whatever they were called."""
TORCH_FAMILIES = ('sevennet', 'mace', 'graph_pes', 'chgnet')
_LEGACY_TORCH = b'\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.'  # the magic number torch wrote before 1.6, as a pickle


class PotentialData(Data):
    """A potential: family, where its numbers are, what it covers, and whom to thank for it.

    Either a checkpoint in the node's repository, or ``name``, a potential which the family's own package carries and
    the engine loads there. The bytes are never unpickled on this side; ``sha256`` is compared here when the node is
    made and stored, and by the engine before it loads anything.
    """

    class AttributesModel(Data.AttributesModel):
        """Attributes for queries, ``PotentialData.fields.sha256`` and the like."""

        family: str = OrmMetadataField(description='Potential family')
        name: str | None = OrmMetadataField(None, description='Name under which the package of the family knows it')
        filename: str | None = OrmMetadataField(None, description='What the file was called')
        sha256: str | None = OrmMetadataField(None, description='Checksum of the checkpoint')
        elements: list[str] | None = OrmMetadataField(None, description='Elements covered, None if not known')
        licence: str | None = OrmMetadataField(None, description='Licence of the numbers')
        citation: str | None = OrmMetadataField(None, description='What to cite')
        options: dict = OrmMetadataField({}, description='Options for the family')
        cutoff_ang: float | None = OrmMetadataField(None, description='Range of the potential in Ang')

    # None of these changes a number that the potential returns.
    _hash_ignored_attributes = ('filename', 'elements', 'licence', 'citation', 'cutoff_ang')

    @classmethod
    def from_file(
        cls,
        path: Path | str,
        family: str,
        elements: Sequence[str] | None = None,
        licence: str | None = None,
        citation: str | None = None,
        options: Mapping[str, Option] | None = None,
        sha256: str | None = None,
        cutoff_ang: float | None = None,
        label: str | None = None,
    ) -> PotentialData:
        """Return an unstored potential with the checkpoint at ``path``.

        :raises ValueError: if the file is missing or empty, does not look like a checkpoint of the family, has
            another sha256 than the one given, or an element is not one.
        """
        source = Path(path)
        if not source.is_file():
            raise ValueError(f'potential file {source}: no such file')
        check_checkpoint(source, family)
        found = checksum(source)
        if sha256 is not None and sha256.lower() != found:
            raise ValueError(
                f'potential file {source} has sha256 {found}, not {sha256.lower()}: it was changed or cut off; fetch '
                'it again'
            )
        node = cls._new(family, elements, licence, citation, options, cutoff_ang, sha256=found, filename=source.name)
        with source.open('rb') as handle:
            node.base.repository.put_object_from_filelike(handle, REPOSITORY_NAME)
        node.label = label or source.stem
        node._check()
        return node

    @classmethod
    def packaged(
        cls,
        family: str,
        name: str,
        sha256: str | None = None,
        elements: Sequence[str] | None = None,
        licence: str | None = None,
        citation: str | None = None,
        options: Mapping[str, Option] | None = None,
        cutoff_ang: float | None = None,
        label: str | None = None,
    ) -> PotentialData:
        """Return an unstored potential that the family's package knows as ``name``.

        With ``sha256`` the engine refuses any other checkpoint under that name; without, it reports what it found.

        :raises ValueError: if family, checksum or an element is malformed.
        """
        node = cls._new(family, elements, licence, citation, options, cutoff_ang, sha256=sha256, name=name)
        node.label = label or name
        node._check()
        return node

    @classmethod
    def _new(
        cls,
        family: str,
        elements: Sequence[str] | None,
        licence: str | None,
        citation: str | None,
        options: Mapping[str, Option] | None,
        cutoff_ang: float | None,
        sha256: str | None,
        name: str | None = None,
        filename: str | None = None,
    ) -> PotentialData:
        node = cls()
        node.base.attributes.set_many(
            {
                'family': family,
                'name': name,
                'filename': filename,
                'sha256': sha256.lower() if sha256 else None,
                'elements': None if elements is None else sorted(set(elements)),
                'licence': licence,
                'citation': citation,
                'options': dict(options or {}),
                'cutoff_ang': cutoff_ang,
            }
        )
        return node

    @property
    def family(self) -> str:
        """Potential family, as the engine knows it."""
        return self._get('family')

    @property
    def name(self) -> str | None:
        """Name of a packaged potential, ``None`` for a checkpoint."""
        return self._get('name')

    @property
    def filename(self) -> str | None:
        """What the checkpoint was called when it was imported."""
        return self._get('filename')

    @property
    def sha256(self) -> str | None:
        """Checksum of the checkpoint; ``None`` if it is packaged and nobody has said."""
        return self._get('sha256')

    @property
    def elements(self) -> list[str] | None:
        """Chemical symbols covered; ``None`` if not known (any is accepted then)."""
        return self._get('elements')

    @property
    def licence(self) -> str | None:
        """Licence of the numbers."""
        return self._get('licence')

    @property
    def citation(self) -> str | None:
        """What to cite."""
        return self._get('citation')

    @property
    def options(self) -> dict[str, Option]:
        """Options for the family."""
        return self._get('options')

    @property
    def cutoff_ang(self) -> float | None:
        """Range of the potential in Ang."""
        return self._get('cutoff_ang')

    @property
    def staged_name(self) -> str | None:
        """Name of the checkpoint in the working directory of a job; some families look at its suffix."""
        if self.filename is None:
            return None
        suffix = Path(self.filename).suffix
        return REPOSITORY_NAME + (suffix if re.fullmatch(r'\.[A-Za-z0-9]+', suffix) else '')

    def to_spec(self) -> PotentialSpec:
        """Return the potential as the engine is told of it."""
        return PotentialSpec(
            family=self.family, name=self.name, file=self.staged_name, sha256=self.sha256, options=self.options
        )

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the checkpoint for reading.

        :raises FileNotFoundError: for a packaged potential.
        """
        with self.base.repository.open(REPOSITORY_NAME, mode='rb') as handle:
            yield handle

    def covers(self, symbols: Sequence[str]) -> list[str]:
        """Return those of ``symbols`` that the potential does not cover, sorted."""
        return [] if self.elements is None else sorted(set(symbols) - set(self.elements))

    def _get(self, name: str) -> Any:
        return self.base.attributes.get(name, None)

    def _check(self) -> None:
        try:
            self.to_spec()
        except InvalidSpec as error:
            problems = '; '.join(f'{".".join(map(str, e["loc"]))}: {e["msg"]}' for e in error.errors())
            raise ValueError(f'the potential {self.label!r} is malformed: {problems}') from error
        unknown = sorted(set(self.elements or ()) - set(chemical_symbols[1:]))
        if unknown:
            raise ValueError(f'elements of the potential {self.label!r}: {", ".join(unknown)} is no element')

    def _validate(self) -> bool:
        super()._validate()
        try:
            self._check()
        except ValueError as error:
            raise ValidationError(str(error)) from error
        if self.name is None:
            try:
                with self.open() as handle:
                    found = _digest(handle)
            except FileNotFoundError as error:
                raise ValidationError('the potential has neither a name nor a checkpoint') from error
            if found != self.sha256:
                raise ValidationError(f'the checkpoint has sha256 {found}, not {self.sha256}')
        return True


def checksum(path: Path) -> str:
    """Return the sha256 of a file as hex."""
    with path.open('rb') as handle:
        return _digest(handle)


def check_checkpoint(path: Path, family: str) -> None:
    """Refuse a file which cannot be a checkpoint of ``family``, by its outer form and without loading it.

    :raises ValueError: saying what the file looks like instead.
    """
    with path.open('rb') as handle:
        head = handle.read(len(_LEGACY_TORCH))
    if not head:
        raise ValueError(f'potential file {path} is empty')
    if family not in TORCH_FAMILIES or head == _LEGACY_TORCH:
        return
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith('data.pkl') for name in archive.namelist()):
                return
    raise ValueError(
        f'potential file {path} is no {family} potential: a checkpoint is an archive written by torch, and this begins '
        f'with {head!r}'
    )


def _digest(handle: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := handle.read(1 << 20):
        digest.update(chunk)
    return digest.hexdigest()
