"""From a source and its card to entries of a data set, a chunk at a time: what an import's process node stands for."""

from __future__ import annotations

from typing import NoReturn

from aiida.engine import calcfunction
from aiida.orm import Dict, ProcessNode

from ...data.source import SourceData


@calcfunction
def import_entries(source: SourceData, card: Dict) -> NoReturn:
    """Stand for the reading of one chunk of entries; not to be called.

    The nodes of this function are records that an import writes together with the entries of the chunk, hundreds in
    one transaction; the engine would store them one by one. What was read is in their attributes: ``part`` of the
    source and the cursors ``start`` and ``end`` in it, ``n_entries``, and the ``problems`` of what was left out.

    :raises NotImplementedError: always, as the source's node does not hold the files. Use
        ``aiida-litraj dataset import`` or ``aiida_litraj.datasets.ingest.run.import_dataset``, which find what of a
        set is missing and add it.
    """
    raise NotImplementedError(
        f'entries of {source.sha256} are imported from the files themselves: call aiida-litraj dataset import with '
        f'them and the card {card.get_dict().get("name")!r}; what is stored already is left alone'
    )


def _is_valid_cache(node: ProcessNode) -> bool:
    """Return that no record serves as the result of another: chunks of a source have the same inputs."""
    return False


import_entries.is_valid_cache = _is_valid_cache  # where AiiDA looks for it, as in the class of a job
