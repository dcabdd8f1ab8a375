"""MPLiTrj and its subsample: labelled configurations of nudged-elastic-band optimisations, one file per split."""

from __future__ import annotations

from .xyz import XyzImporter


class ConfigurationImporter(XyzImporter):
    """Energy, forces and stress with each configuration; the folder may be spelled MPLiTraj."""

    layout = 'mplitrj'
