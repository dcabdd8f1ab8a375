"""LiPS-25: one file of labelled configurations of Li-P-S, with the family of each as ``label``."""

from __future__ import annotations

from ..card import Card
from ..entry import Entry
from .xyz import XyzImporter


class LipsImporter(XyzImporter):
    """The virial stays as the file has it: its sign is not published, so no stress is made of it."""

    layout = 'lips25'

    def _file_name(self, card: Card, entry: Entry) -> str:
        return 'lips-25.extxyz'
