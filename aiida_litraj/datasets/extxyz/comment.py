"""The second line of a configuration: words with their values, as ASE understands them."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import numpy as np

CELL: Final = 'Lattice'
"""Nine numbers, the three lattice vectors one after the other; kept as a list of nine."""
MATRICES: Final = frozenset({'Lattice', 'virial', 'stress'})
"""Nine numbers under these names are the columns of a matrix, one after the other."""
UNPROCESSED: Final = frozenset({'uid'})
_JSON: Final = '_JSON '
_BOOLEANS: Final = {
    **dict.fromkeys(('T', 'true', 'True', 'TRUE'), True),
    **dict.fromkeys(('F', 'false', 'False', 'FALSE'), False),
}
# What nearly all files hold: key=value or key="value" without quotes, brackets or backslashes in it.
_PAIR: Final = re.compile(r'\s*([^\s=,"\'{}\[\]\\]+)=(?:"([^"\\]*)"|([^\s="\'{}\[\]\\]+))(?=\s|$)')
_BARE: Final = re.compile(r'[^\s="\'{}\[\]\\]+')
_PIECES: Final = re.compile(r'[^\s,]+')
_NUMERIC: Final = frozenset('0123456789+-.nNiI')
_BOOLEAN_LETTERS: Final = frozenset('TtFf')
_SPECIAL_LETTERS: Final = _BOOLEAN_LETTERS | _NUMERIC
_PERIODIC: Final = {'T T T': (True, True, True), 'F F F': (False, False, False)}
_INT64: Final = 2**63


def parse_comment(line: str) -> dict[str, Any]:
    """Return the words of a comment line with their values: numbers, words, booleans, lists, 3x3 lists of lists.

    :raises ValueError: if a value is not what its name promises.
    """
    found: dict[str, Any] = {}
    at = 0
    for match in _PAIR.finditer(line):
        if match.start() != at:
            return _any_comment(line)
        key, quoted, plain = match.groups()
        found[key] = _value(key, plain if quoted is None else quoted)
        at = match.end()
    return found if not line[at:].strip() else _any_comment(line)


def _any_comment(line: str) -> dict[str, Any]:
    """Return the words of a line with nested quotes, brackets or bare words, read by ASE's own automaton."""
    from ase.io.extxyz import key_val_str_to_dict

    found = {
        key: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for key, value in key_val_str_to_dict(line).items()
        if key
    }
    if CELL in found:
        found[CELL] = np.array(found[CELL], dtype=float).ravel(order='F').tolist()
    return found


def _value(key: str, text: str) -> Any:
    if key in MATRICES:
        return _matrix(key, text)
    if key.lower() in UNPROCESSED:
        return text
    first = text[:1]
    if first in _NUMERIC:
        number = _number(text)
        if number is not None:
            return number
    elif first.isalpha() and first not in _BOOLEAN_LETTERS:
        return text
    elif text in _PERIODIC:
        return list(_PERIODIC[text])
    return _other(text)


def _matrix(key: str, text: str) -> list[Any]:
    try:
        numbers = list(map(float, _PIECES.findall(text) if ',' in text else text.split()))
    except ValueError as error:
        raise ValueError(f'{key} holds what is not a number') from error
    if key == CELL and len(numbers) == 9:
        return numbers
    if len(numbers) == 9:
        return [numbers[0::3], numbers[1::3], numbers[2::3]]
    if key == 'stress' and len(numbers) == 6:
        return numbers
    raise ValueError(f'{key} needs 9 numbers, not {len(numbers)}')


def _number(text: str) -> int | float | None:
    if '_' in text or not text.isascii():
        return None
    try:
        if '.' in text:
            return float(text)
        whole = int(text)
        return whole if -_INT64 <= whole < _INT64 else float(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None


def _other(text: str) -> Any:
    """Return the value of a text that is not one number: a list of numbers, a boolean or several, JSON, or itself."""
    pieces = _PIECES.findall(text)
    numbers = [_number(piece) for piece in pieces]
    if pieces and None not in numbers:
        # A list is of one type; one number that is not whole makes all of them real.
        real = any(isinstance(number, float) for number in numbers)
        values: list[Any] = [float(number) for number in numbers if number is not None] if real else numbers
        return values[0] if len(values) == 1 else values
    if not pieces:
        return text if text else []
    if all(piece in _BOOLEANS for piece in pieces):
        booleans = [_BOOLEANS[piece] for piece in pieces]
        return booleans[0] if len(booleans) == 1 else booleans
    return json.loads(text[len(_JSON) :]) if text.startswith(_JSON) else text


def format_comment(values: dict[str, Any]) -> str:
    """Return a comment line from which ``parse_comment`` and ASE return exactly these values."""
    return ' '.join(f'{key}={format_value(key, value)}' for key, value in values.items())


def format_value(key: str, value: Any) -> str:
    """Return a value as it stands after its key, quoted where it has to be."""
    if isinstance(value, bool):
        return 'T' if value else 'F'
    if isinstance(value, int | float):
        return repr(value)
    if key == CELL:
        return f'"{" ".join(map(repr, value))}"'
    if isinstance(value, str) and value[:1].isalpha() and value[0] not in _SPECIAL_LETTERS and _BARE.fullmatch(value):
        return value
    if isinstance(value, str) and value and _BARE.fullmatch(value) and _value(key, value) == value:
        return value
    return _quoted(_plain_text(key, value))


def _plain_text(key: str, value: Any) -> str:
    """Return the text between the quotes: as it is if it is read back the same, else as JSON."""
    text = None
    if key == 'pbc':
        return ' '.join('T' if piece else 'F' for piece in value)
    if isinstance(value, str):
        text = value
    elif key in MATRICES and np.shape(value) == (3, 3):
        return ' '.join(repr(float(row[column])) for column in range(3) for row in value)
    elif isinstance(value, list) and all(isinstance(piece, bool) for piece in value):
        text = ' '.join('T' if piece else 'F' for piece in value)
    elif isinstance(value, list) and all(isinstance(piece, int | float) for piece in value):
        text = ' '.join(map(repr, value))
    if text is not None and '\n' not in text and text == text.strip() and _same(_value(key, text), value):
        return text
    return _JSON + json.dumps(value)


def _same(read: Any, value: Any) -> bool:
    """Return whether two values are equal in type too, and NaN is NaN."""
    return repr(read) == repr(value)


def _quoted(text: str) -> str:
    escaped = text.replace('\\', '\\\\').replace('"', '\\"')
    return f'"{escaped}"'
