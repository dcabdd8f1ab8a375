"""OBELiX: measured conductivities in a table, with the structure as a CIF where one is known."""

from __future__ import annotations

import contextlib
import io
import re
import tarfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...contract.frames import Frames
from ..card import Card
from ..entry import START, Chunk, Cursor, Entry, Parsed, Part, Problem
from ..source import Source
from .base import CHUNK_SIZE, READ_ERRORS, Importer, without_repeats
from .index import IndexRow, read_index, write_index

KEY: Final = 'ID'
CONDUCTIVITY: Final = 'Ionic conductivity (S cm-1)'
STRUCTURE: Final = 'Cif ID'
"""Column that says whether there is a CIF."""
THERE: Final = 'done'
_NUMBER: Final = re.compile(r'^\s*([<>]?)\s*([0-9.]+(?:[eE][-+]?\d+)?)\s*$')
_CIFS: Final = 'randomized_cifs'


class ObelixImporter(Importer):
    """An entry is a row of ``train.csv`` or ``test.csv`` whose structure is known.

    Many of them have sites that are partly occupied or shared, which no list of atoms can hold: the frame has one
    atom per site, as ASE reads it, with ``occupancy`` as an array, and the CIF itself stays as text in ``info``.
    Rows without a structure are rows of the index and no entries, unless the table says that there is a CIF.
    """

    layout = 'obelix'
    material_is_composition = True

    def parts(self, source: Source, card: Card) -> tuple[list[Part], list[Problem]]:
        tables = [name for split in card.splits for name in source.find(f'{split}.csv')]
        if not tables:
            raise ValueError(f'{source.path} has none of {", ".join(f"{split}.csv" for split in card.splits)}')
        if not any(_Cifs(source, split).names for split in card.splits):
            raise ValueError(
                f'{source.path} has {tables[0]}, but no structures: put {_split_of(tables[0])}_cifs.tar.gz, or the '
                f'folder {_split_of(tables[0])}_{_CIFS} that is in it, beside the table and give the folder of both'
            )
        found: list[Part] = []
        problems: list[Problem] = []
        for table in tables:
            split = _split_of(table)
            rows, wrong = read_index(source, table, KEY)
            problems += wrong
            cifs = _Cifs(source, split)
            names = {row.values[KEY] for row in rows}
            problems += [
                Problem(cifs.place(name), 0, name, 'stands in no row of the table') for name in cifs.names - names
            ]
            found.append(Part(split, split, (table,), len(_with_structure(rows, cifs.names))))
        return found, problems

    def chunks(
        self, source: Source, card: Card, part: Part, start: Cursor = START, size: int = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        table = part.members[0]
        rows, _ = read_index(source, table, KEY)
        cifs = _Cifs(source, part.split or part.name)
        rows = _with_structure(rows, cifs.names)
        for first in range(start.offset, len(rows), size):
            these = rows[first : first + size]
            names = [row.values[KEY] for row in these]
            payload = [(cifs.place(name), text) for name, text in cifs.read([n for n in names if n in cifs.names])]
            last = first + len(these)
            end_line = rows[last].line if last < len(rows) else these[-1].line + 1
            context = {
                'rows': [[row.values, row.line] for row in these],
                'places': {name: cifs.place(name) for name in names},
            }
            here, end = Cursor(first, first, these[0].line), Cursor(last, last, end_line)
            yield Chunk(part.name, part.split, here, end, payload, table, context)

    def parse(self, card: Card, chunk: Chunk) -> Parsed:
        assert not isinstance(chunk.payload, bytes)
        files = dict(chunk.payload)
        entries: list[Entry] = []
        problems: list[Problem] = []
        for number, (row, line) in enumerate(chunk.context['rows'], chunk.first_number):
            name = row[KEY]
            place = chunk.context['places'][name]
            if place not in files:
                problems.append(Problem(chunk.file, line, name, 'there is no CIF, though the table says so'))
                continue
            try:
                frames = read_cif(files[place])
            except ValueError as error:
                problems.append(Problem(place, 0, name, str(error)))
                continue
            try:
                properties = conductivity(row.get(CONDUCTIVITY, ''))
            except ValueError as error:
                problems.append(Problem(chunk.file, line, name, str(error)))
                continue
            material = row.get(card.material) if card.material else None
            entries.append(Entry(name, chunk.split, material, frames, properties, chunk.file, line, number, row))
        return Parsed(without_repeats(entries, problems), problems)

    def write(self, card: Card, entries: Iterable[Entry], folder: Path) -> Path:
        top = folder / card.name
        top.mkdir(parents=True, exist_ok=True)
        rows: dict[str, list[Mapping[str, str]]] = {}
        for entry in entries:
            split = entry.split or 'train'
            (top / f'{split}_{_CIFS}').mkdir(exist_ok=True)
            text = str(entry.frames.info[0]['cif'])
            (top / f'{split}_{_CIFS}' / f'{entry.id}.cif').write_text(text, encoding='utf-8', newline='')
            rows.setdefault(split, []).append(entry.row or {KEY: entry.id})
        for split, these in rows.items():
            write_index(top / f'{split}.csv', these)
        return top

    def remarks(self, source: Source, card: Card) -> list[str]:
        found = []
        for table in (name for split in card.splits for name in source.find(f'{split}.csv')):
            rows, _ = read_index(source, table, KEY)
            without = len(rows) - len(_with_structure(rows, _Cifs(source, _split_of(table)).names))
            if without:
                found.append(
                    f'{table}: {without:,} of its {len(rows):,} rows have a conductivity but no structure; they are '
                    'no entries, and are not stored'
                )
        return found

    def left_out(self, lines: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
        return tuple(
            f'{table}: {missing:,} rows up to line {last:,} were no entries, for no structure of theirs is known or it '
            'could not be read; they are not written. The table as published has them'
            for table, (last, number) in lines.items()
            if (missing := last - 1 - number) > 0
        )


def _split_of(table: str) -> str:
    return table.rpartition('/')[2].removesuffix('.csv')


def _with_structure(rows: list[IndexRow], names: set[str]) -> list[IndexRow]:
    """Return the rows with a CIF, and those that should have one."""
    return [row for row in rows if row.values[KEY] in names or row.values.get(STRUCTURE) == THERE]


def conductivity(text: str) -> dict[str, Any]:
    """Return a measured conductivity in S/cm as a number or as a bound, and the words of the table.

    :raises ValueError: if it is neither.
    """
    match = _NUMBER.match(text)
    if match is None:
        raise ValueError(f'{CONDUCTIVITY}: "{text}" is neither a number nor a bound')
    name = {'': 'conductivity', '<': 'conductivity_below', '>': 'conductivity_above'}[match[1]]
    return {name: float(match[2]), 'conductivity_text': text}


def read_cif(content: bytes) -> Frames:
    """Return the sites of a CIF, one atom each, with ``occupancy`` (N,) and the text itself in ``info``.

    :raises ValueError: saying why it cannot be read.
    """
    from ase.io.cif import read_cif as read_with_ase

    try:
        text = content.decode()
        with warnings.catch_warnings():
            # Ase speaks of every CIF whose sites come close; the text is kept whatever it says.
            warnings.simplefilter('ignore')
            atoms = next(iter(read_with_ase(io.StringIO(text), index=slice(0, 1))))
    except Exception as error:  # the reader has no error of its own: damage shows as any of them
        raise ValueError(f'the CIF cannot be read: {type(error).__name__}: {error}') from None
    if not len(atoms) or not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell).all():
        raise ValueError('the CIF has no atoms, or a number that is not finite')
    symbols = atoms.get_chemical_symbols()
    shares = atoms.info.get('occupancy') or {}
    kinds = atoms.arrays.get('spacegroup_kinds')
    occupancy = np.ones(len(atoms))
    arrays: dict[str, Any] = {'occupancy': occupancy}
    if kinds is not None:
        arrays['site'] = np.asarray(kinds, dtype=np.int64)
        for number, (symbol, kind) in enumerate(zip(symbols, kinds.tolist())):
            occupancy[number] = shares.get(str(kind), {}).get(symbol, 1.0)
    info: dict[str, Any] = {'cif': text, 'occupancy': {site: dict(who) for site, who in shares.items()}}
    group = atoms.info.get('spacegroup')
    if group is not None:
        info['space_group_number'] = int(group.no)
    return Frames.of_one(atoms.numbers, atoms.positions, np.asarray(atoms.cell), atoms.pbc, arrays=arrays, info=info)


class _Cifs:
    """CIFs of a split by identifier: in a folder of the source, or in a tar file in it."""

    def __init__(self, source: Source, split: str) -> None:
        self._source = source
        self._tar = next((name for name in source.find(f'{split}_cifs.tar.gz')), None)
        self._files: dict[str, str] = {}
        if self._tar is not None:
            with contextlib.suppress(*READ_ERRORS, tarfile.TarError), self._open() as tar:
                self._files = {_stem(name): name for name in tar.getnames() if name.endswith('.cif')}
        else:
            for name in source.find('.cif'):
                if f'{split}_' in name.rpartition('/')[0]:
                    self._files[_stem(name)] = name
        self.names = set(self._files)

    @contextlib.contextmanager
    def _open(self) -> Iterator[tarfile.TarFile]:
        assert self._tar is not None
        with self._source.stream(self._tar) as stream, tarfile.open(fileobj=stream, mode='r|*') as tar:
            yield tar

    def place(self, name: str) -> str:
        """Return where a CIF lies, for messages."""
        file = self._files.get(name, f'{name}.cif')
        return f'{self._tar}/{file}' if self._tar is not None else file

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Return the CIFs of these names; those that cannot be read are left out."""
        if self._tar is None:
            for name in names:
                with contextlib.suppress(*READ_ERRORS):
                    yield name, self._source.read(self._files[name])
            return
        wanted = {self._files[name]: name for name in names}
        with contextlib.suppress(*READ_ERRORS, tarfile.TarError), self._open() as tar:
            for member in tar:
                stream = tar.extractfile(member) if member.name in wanted else None
                if stream is not None:
                    yield wanted[member.name], stream.read()


def _stem(name: str) -> str:
    return name.rpartition('/')[2].removesuffix('.cif')
