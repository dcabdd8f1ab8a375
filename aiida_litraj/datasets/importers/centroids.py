"""nebBVSE122k: supercells with the pseudo-atom X in the middle of a hop, and the hop's barrier."""

from __future__ import annotations

from .xyz import XyzImporter


class CentroidImporter(XyzImporter):
    """One file per split, and an index with a row per hop."""

    layout = 'centroids'
    indexed = True
