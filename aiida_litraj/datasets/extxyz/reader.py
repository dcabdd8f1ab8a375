"""Extended xyz to frames: the text of many configurations in, one ``Frames`` or one reason for each out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ...contract.arrays import AnyArray, Array
from ...contract.frames import Frames
from ..card import Keys
from .blocks import Block, cut
from .columns import Property, parse_column, parse_properties, parse_reals, parse_symbols
from .comment import parse_comment
from .elements import UNKNOWN
from .fixed import ROWS, Layout, fixed_layout, parse_fixed

SHOWN = 60
PLAIN = 'species:S:1:pos:R:3'
_SPECIES = ('species', 'symbols', 'element')
_POSITIONS = ('pos', 'positions')
DEFAULT_KEYS = Keys()


class Configuration(NamedTuple):
    """What became of one configuration of a file."""

    number: int
    """Running number in the text, from 0; malformed ones count."""
    line: int
    """Where it begins."""
    frame: Frames | None
    reason: str | None
    """Why there is no frame."""
    wrong_line: int
    """Which line is to blame, where there is no frame."""


class _Bad(Exception):
    """A configuration is malformed, on a line counted from its beginning."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


class _Table(NamedTuple):
    """Atoms of one configuration before they are sorted into names."""

    numbers: npt.NDArray[np.uint8]
    values: Array | list[AnyArray]
    """(N, C) numbers of all columns but the symbol, or a list of (N, c) by property."""


class _Head(NamedTuple):
    """One configuration whose comment has been read."""

    block: Block
    number: int
    rows: int
    """Where the table of atoms begins, in bytes."""
    comment: dict[str, Any]
    properties: tuple[Property, ...]
    layout: Layout | None


def read_block(data: bytes, keys: Keys = DEFAULT_KEYS, first_line: int = 1) -> list[Configuration]:
    """Return each configuration of a text, in order; those that are malformed with the reason and the line.

    :param keys: names of energy, forces, stress and virial in the file.
    :param first_line: number of the text's first line in its file, for messages.
    """
    if b'\r' in data:
        data = data.replace(b'\r\n', b'\n')
    blocks, _, _ = cut(data)
    reader = _Reader(data, keys)
    found: list[Configuration] = []
    for index, (block, outcome) in enumerate(zip(blocks, reader.read(blocks))):
        line = first_line + block.line
        if isinstance(outcome, _Bad):
            found.append(Configuration(index, line, None, outcome.reason, line + outcome.line))
        else:
            found.append(Configuration(index, line, outcome, None, line))
    return found


class _Reader:
    """Reads the blocks of one text."""

    def __init__(self, data: bytes, keys: Keys) -> None:
        self.data = data
        self.keys = keys
        self.characters = np.frombuffer(data, dtype=np.uint8)
        self.properties: dict[str, tuple[Property, ...]] = {}
        self.layouts: dict[tuple[bytes, tuple[Property, ...]], Layout | None] = {}

    def read(self, blocks: Sequence[Block]) -> list[Frames | _Bad]:
        outcomes: list[Frames | _Bad] = [_Bad('not read')] * len(blocks)
        heads: list[_Head] = []
        for index, block in enumerate(blocks):
            try:
                heads.append(self._head(index, block))
            except _Bad as bad:
                outcomes[index] = bad
        for head, table in self._tables(heads):
            try:
                if isinstance(table, _Bad):
                    raise table
                outcomes[head.number] = self._frame(head, table)
            except _Bad as bad:
                outcomes[head.number] = bad
        return outcomes

    def _head(self, index: int, block: Block) -> _Head:
        if block.reason is not None:
            raise _Bad(block.reason)
        if block.n_atoms == 0:
            raise _Bad('has no atoms')
        start = self.data.index(b'\n', block.start) + 1
        rows = self.data.index(b'\n', start) + 1
        try:
            line = self.data[start : rows - 1].decode()
        except UnicodeDecodeError:
            raise _Bad('the comment line is not UTF-8', 1) from None
        try:
            comment = parse_comment(line)
            properties = self._properties(str(comment.pop('Properties', PLAIN)))
        except (ValueError, KeyError, IndexError) as error:
            raise _Bad(f'the comment line cannot be read: {error}', 1) from None
        return _Head(block, index, rows, comment, properties, self._layout(block, rows, properties))

    def _properties(self, text: str) -> tuple[Property, ...]:
        found = self.properties.get(text)
        if found is None:
            found = self.properties[text] = parse_properties(text)
            names = [one.name for one in found]
            if not any(name in names for name in (*_SPECIES, 'Z')) or not any(name in names for name in _POSITIONS):
                raise ValueError(f'Properties={text} lacks species or pos')
            if len(set(names)) < len(names):
                raise ValueError(f'Properties={text} has a name twice')
        return found

    def _layout(self, block: Block, rows: int, properties: tuple[Property, ...]) -> Layout | None:
        """Return where the columns stand, if all rows are as long as the first and that one is laid out so."""
        first = self.data[rows : self.data.find(b'\n', rows) + 1]
        if len(first) < 4 or len(first) * block.n_atoms != _end(self.data, block) - rows:
            return None
        # The same places of points and blanks, the same layout.
        pattern = first.translate(_DIGITS_ALIKE)
        if (pattern, properties) not in self.layouts:
            if properties[0].name not in _SPECIES or properties[0].columns != 1:
                return None
            kinds = [one.kind for one in properties for _ in range(one.columns)]
            if len(self.layouts) > 1000:
                self.layouts.clear()
            self.layouts[pattern, properties] = fixed_layout(first, kinds)
        return self.layouts[pattern, properties]

    def _tables(self, heads: Sequence[_Head]) -> Iterator[tuple[_Head, _Table | _Bad]]:
        """Return the table of each configuration: neighbours with the same layout are read together."""
        at = 0
        while at < len(heads):
            group = [heads[at]]
            n_rows = heads[at].block.n_atoms
            while (
                (layout := heads[at].layout) is not None
                and at + len(group) < len(heads)
                and (other := heads[at + len(group)]).layout == layout
                and n_rows + other.block.n_atoms <= ROWS
            ):
                group.append(other)
                n_rows += other.block.n_atoms
            at += len(group)
            tables = self._fixed(group)
            if tables is None and len(group) > 1:
                for head in group:
                    alone = self._fixed([head])
                    yield head, self._any(head) if alone is None else alone[0]
            elif tables is None:
                yield group[0], self._any(group[0])
            else:
                yield from zip(group, tables)

    def _fixed(self, heads: Sequence[_Head]) -> list[_Table] | None:
        layout = heads[0].layout
        if layout is None:
            return None
        texts = [self.characters[head.rows : head.rows + layout.width * head.block.n_atoms] for head in heads]
        # The last row of a text may lack its line end.
        if len(texts[-1]) < layout.width * heads[-1].block.n_atoms:
            texts[-1] = np.append(texts[-1], np.uint8(10))
        rows = np.concatenate(texts).reshape(-1, layout.width)
        parsed = parse_fixed(rows, layout)
        if parsed is None:
            return None
        numbers, values = parsed
        tables = []
        start = 0
        for head in heads:
            part = slice(start, start + head.block.n_atoms)
            tables.append(_Table(numbers[part], values[part]))
            start = part.stop
        return tables

    def _any(self, head: _Head) -> _Table | _Bad:
        """Return a table of any format, word by word."""
        words = self.data[head.rows : head.block.end].split()
        n_columns = sum(one.columns for one in head.properties)
        if len(words) != n_columns * head.block.n_atoms:
            return self._bad_row(head)
        numbers: npt.NDArray[np.uint8] | None = None
        values: list[AnyArray] = []
        column = 0
        if head.properties[0].name in _SPECIES and all(one.kind == 'R' for one in head.properties[1:]):
            # By far the most frequent: a symbol and numbers, in one go.
            numbers = np.array(parse_symbols(words[::n_columns]), dtype=np.uint8)
            del words[::n_columns]
            try:
                table = parse_reals(words).reshape(-1, n_columns - 1)
            except ValueError:
                return self._bad_row(head)
            bad = (numbers == UNKNOWN).any() or not np.isfinite(table).all()
            return self._bad_row(head) if bad else _Table(numbers, table)
        try:
            for one in head.properties:
                columns = [words[column + i :: n_columns] for i in range(one.columns)]
                column += one.columns
                if one.name in _SPECIES and numbers is None:
                    numbers = np.array(parse_symbols(columns[0]), dtype=np.uint8)
                elif one.kind == 'R':
                    flat = [word for row in zip(*columns) for word in row] if one.columns > 1 else columns[0]
                    values.append(parse_reals(flat).reshape(-1, one.columns))
                else:
                    values.append(np.stack([parse_column(words, one.kind) for words in columns], axis=1))
        except (ValueError, OverflowError):
            return self._bad_row(head)
        if numbers is None:
            atomic: npt.NDArray[np.int64] = next(
                value for one, value in zip(head.properties, values) if one.name == 'Z'
            )[:, 0].astype(np.int64)
            if ((atomic < 0) | (atomic > 118)).any():
                return _Bad(f'there is no element {int(atomic[(atomic < 0) | (atomic > 118)][0])}')
            return _Table(atomic.astype(np.uint8), values)
        if (numbers == UNKNOWN).any():
            return self._bad_row(head)
        return _Table(numbers, values)

    def _bad_row(self, head: _Head) -> _Bad:
        """Return what is wrong with the first row that does not fit."""
        kinds = [one.kind for one in head.properties for _ in range(one.columns)]
        names = [one.name for one in head.properties for _ in range(one.columns)]
        rows = self.data[head.rows : head.block.end].split(b'\n')
        for line, row in enumerate(rows[: head.block.n_atoms]):
            words = row.split()
            if len(words) != len(kinds):
                return _Bad(f'{len(words)} columns instead of {len(kinds)} ({_show(row)})', line + 2)
            for word, kind, name in zip(words, kinds, names):
                try:
                    if name in _SPECIES:
                        if parse_symbols([word])[0] == UNKNOWN:
                            return _Bad(f'there is no element {_show(word)}', line + 2)
                    elif kind == 'R':
                        if not isfinite(parse_reals([word])[0]):
                            return _Bad(f'{name}: {_show(word)} is not finite', line + 2)
                    else:
                        parse_column([word], kind)
                except (ValueError, OverflowError):
                    return _Bad(f'{name}: "{_show(word)}" is not of the kind {kind}', line + 2)
        return _Bad('the table of atoms cannot be read', 2)

    def _frame(self, head: _Head, table: _Table) -> Frames:
        """Return the frame of one configuration.

        :raises _Bad: if a number is not finite, the cell is flat, or an element is unknown.
        """
        if (table.numbers == UNKNOWN).any():
            raise self._bad_row(head)
        arrays = _by_name(head.properties, table)
        comment = head.comment
        energy = comment.pop(self.keys.energy, None) if self.keys.energy else None
        forces = _reals(arrays.pop(self.keys.forces)) if self.keys.forces in arrays else None
        positions = _reals(next(arrays.pop(name) for name in _POSITIONS if name in arrays))
        lattice = comment.pop('Lattice', None)
        stress = self._stress(comment)
        # An xyz file without a cell has no periodic directions, one with a cell all, unless it says something else.
        pbc = comment.pop('pbc', [lattice is not None] * 3)
        if isinstance(pbc, bool):
            pbc = [pbc] * 3
        if not isinstance(pbc, list) or len(pbc) != 3:
            raise _Bad(f'pbc={pbc} is not three of T and F', 1)
        if energy is not None and not _is_number(energy):
            raise _Bad(f'{self.keys.energy}={energy} is not a number', 1)
        if isinstance(table.values, list):
            # Of a table of numbers alone that is known.
            _check_finite(positions, 'pos')
            _check_finite(forces, str(self.keys.forces))
        if not isfinite(sum(lattice or ()) + (energy or 0.0)):
            raise _Bad('Lattice or energy is not finite', 1)
        return Frames(
            offsets=np.array((0, head.block.n_atoms)),
            numbers=table.numbers,
            positions=positions,
            cells=np.zeros((1, 3, 3)) if lattice is None else np.array(lattice).reshape(1, 3, 3),
            pbc=np.array((pbc,), dtype=bool),
            energies=None if energy is None else np.array((energy,), dtype=float),
            forces=forces,
            stresses=None if stress is None else stress[None],
            arrays=arrays,
            info=[comment],
        )

    def _stress(self, comment: dict[str, Any]) -> Array | None:
        """Return the stress in Voigt's order; a matrix that is not symmetric stays among the words as well."""
        key = self.keys.stress
        value = comment.get(key) if key else None
        if value is None or key is None:
            return None
        if isinstance(value, list) and len(value) == 9:
            value = [value[0::3], value[1::3], value[2::3]]
        if not isinstance(value, list) or len(value) not in {3, 6} or (len(value) == 3 and not _is_matrix(value)):
            raise _Bad(f'{key} needs 9 or 6 numbers', 1)
        if len(value) == 3:
            (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = value
            if (xy, xz, yz) == (yx, zx, zy):
                del comment[key]
            value = [xx, yy, zz, yz, xz, xy]
        else:
            del comment[key]
        stress = np.array(value, dtype=float)
        if not isfinite(stress.sum()):
            raise _Bad(f'{key} is not finite', 1)
        return stress


_DIGITS_ALIKE = bytes.maketrans(b'-123456789' + bytes(range(65, 91)) + bytes(range(97, 123)), b' 000000000' + b'A' * 52)


def _end(data: bytes, block: Block) -> int:
    """Return where a block's rows end, their last line end included even where the file lacks it."""
    end = block.end
    while data[end - 1 : end] == b'\n' and data[end - 2 : end - 1] == b'\n':
        end -= 1
    return end if data[end - 1 : end] == b'\n' else end + 1


def _by_name(properties: tuple[Property, ...], table: _Table) -> dict[str, AnyArray]:
    """Return the columns by property, each (N,) or (N, c) and of its own kind, without the symbols."""
    arrays: dict[str, AnyArray] = {}
    at = 0
    species = False
    for one in properties:
        if one.name in _SPECIES and not species:
            species = True
            continue
        values: AnyArray
        if isinstance(table.values, list):
            values = table.values[at]
            at += 1
        else:
            values = table.values[:, at : at + one.columns]
            at += one.columns
            if one.kind == 'I':
                values = values.astype(np.int64)
            elif one.kind == 'L':
                values = values.astype(bool)
        if one.name != 'Z':
            arrays[one.name] = np.ascontiguousarray(values if one.columns > 1 else values[:, 0])
    return arrays


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reals(values: AnyArray) -> Array:
    """Return positions or forces (N, 3).

    :raises _Bad: if they have not three columns of numbers.
    """
    if values.shape[1:] != (3,) or values.dtype.kind not in 'fi':
        raise _Bad('positions and forces need three columns of numbers each', 1)
    return values.astype(float, copy=False)


def _is_matrix(value: list[Any]) -> bool:
    return all(isinstance(row, list) and len(row) == 3 for row in value)


def _check_finite(values: Array | None, name: str) -> None:
    if values is not None and not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise _Bad(f'{name} of atom {row} are not finite', row + 2)


def _show(text: bytes) -> str:
    return text.strip()[:SHOWN].decode(errors='replace')
