"""Made OBELiX: the table of measured conductivities and the crystals that belong to some of its rows."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
from pathlib import Path

from ase.calculators.calculator import Calculator

from .crystals import OBELIX
from .layout import fresh_folder

TABLE = 'train.csv'
CRYSTALS = 'train_randomized_cifs'
ARCHIVE = 'train_cifs.tar.gz'
DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'


def make_obelix(
    folder: Path,
    n: int,
    seed: int,
    calculator: Calculator | None = None,
    packed: bool = True,
    name: str = 'OBELiX',
) -> Path:
    """Write ``n`` rows and the crystals they have, and return the folder.

    Rows and crystals are real ones of OBELiX; from the twenty-second on they come again under made-up identities.
    The crystals are in an archive as published, or without ``packed`` in a folder. Neither ``seed`` nor
    ``calculator`` has a part in it.
    """
    place = fresh_folder(folder, name)
    with (OBELIX / TABLE).open(newline='', encoding='utf-8') as stream:
        reader = csv.DictReader(stream)
        rows, columns = list(reader), list(reader.fieldnames or ())
    taken = {row['ID'] for row in rows}
    made: list[dict[str, str]] = []
    crystals: dict[str, bytes] = {}
    for number in range(n):
        row = dict(rows[number % len(rows)])
        source = OBELIX / f'{row["ID"]}.cif'
        if number >= len(rows):
            row['ID'] = _fresh_id(number, taken)
        if source.exists():
            crystals[row['ID']] = source.read_bytes()
        made.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator='\n')
    writer.writeheader()
    writer.writerows(made)
    (place / TABLE).write_text(text.getvalue(), encoding='utf-8')
    _write_crystals(place, crystals, packed)
    return place


def _fresh_id(number: int, taken: set[str]) -> str:
    """Return an identity of three or more letters and digits that no row has yet."""
    while True:
        rest, word = number, ''
        while rest or len(word) < 3:
            rest, digit = divmod(rest, len(DIGITS))
            word = DIGITS[digit] + word
        if word not in taken:
            taken.add(word)
            return word
        number += 20_000


def _write_crystals(place: Path, crystals: dict[str, bytes], packed: bool) -> None:
    if not packed:
        (place / CRYSTALS).mkdir()
        for identity, content in crystals.items():
            (place / CRYSTALS / f'{identity}.cif').write_bytes(content)
        return
    # With a time of its own the archive would not be the same bytes twice.
    with (
        (place / ARCHIVE).open('wb') as stream,
        gzip.GzipFile(filename='', fileobj=stream, mode='wb', mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode='w') as archive,
    ):
        for identity, content in crystals.items():
            member = tarfile.TarInfo(f'{CRYSTALS}/{identity}.cif')
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
