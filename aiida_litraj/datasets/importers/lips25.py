"""LiPS-25: one file of labelled configurations of Li-P-S, with the family of each as ``label``."""

from __future__ import annotations

from dataclasses import replace

from ..card import Card
from ..entry import Part, Problem
from ..source import Source
from .xyz import XyzImporter


class LipsImporter(XyzImporter):
    """The virial stays as the file has it: its sign is not published, so no stress is made of it."""

    layout = 'lips25'

    def parts(self, source: Source, card: Card) -> tuple[list[Part], list[Problem]]:
        found, problems = super().parts(source, card)
        # Entries are called by the set, however its one file is spelled.
        return ([replace(found[0], prefix=card.name)] if len(found) == 1 else found), problems

    def _file_name(self, card: Card) -> str:
        return 'lips-25.extxyz'
