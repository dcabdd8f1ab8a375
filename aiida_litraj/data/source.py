"""The files of a publisher as a node: what they are called, how large they are, and their checksums."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aiida.orm import Data
from aiida.orm.pydantic import OrmMetadataField

from .fields import attribute

MANIFEST = 'manifest.json'


class SourceData(Data):
    """Where entries of a data set were read from: a file, a zip or a folder, by name, size and sha256.

    The node does not hold the files, which may be many gigabytes; it has their manifest.
    """

    class AttributesModel(Data.AttributesModel):
        """Attributes for queries, ``SourceData.fields.sha256`` and the like."""

        name: str = OrmMetadataField(
            description='Name of the file or folder, without where it was', orm_to_model=attribute('name')
        )
        size_bytes: int = OrmMetadataField(description='Bytes in all', orm_to_model=attribute('size_bytes'))
        sha256: str = OrmMetadataField(
            description='Of the file; of the manifest if there are many files', orm_to_model=attribute('sha256')
        )
        n_files: int = OrmMetadataField(description='Number of files', orm_to_model=attribute('n_files'))

    @classmethod
    def from_manifest(cls, name: str, sha256: str, files: Sequence[dict[str, Any]]) -> SourceData:
        """Return an unstored node; each file has ``name``, ``size`` in bytes and ``sha256``."""
        node = cls()
        node.label = name[:255]
        size = sum(int(entry['size']) for entry in files)
        node.base.attributes.set_many({'name': name, 'size_bytes': size, 'sha256': sha256, 'n_files': len(files)})
        node.base.repository.put_object_from_bytes(json.dumps(list(files), indent=0).encode(), MANIFEST)
        return node

    @property
    def sha256(self) -> str:
        """Checksum of the file, or of the manifest if there are many files."""
        checksum: str = self.base.attributes.get('sha256')
        return checksum

    @property
    def files(self) -> list[dict[str, Any]]:
        """Each file with ``name``, ``size`` in bytes and ``sha256``."""
        manifest: list[dict[str, Any]] = json.loads(self.base.repository.get_object_content(MANIFEST))
        return manifest
