"""Files of records: whole ones come back to the bit, cut and damaged ones are known for what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract.trajectory import Header, RecordWriter, read_records

HEADER = Header('frames', (3, 15, 16), (True, True, False), 'float64')


def frame(step: int) -> dict[str, Any]:
    rng = np.random.default_rng(step)
    return {
        'step': step,
        'time_fs': 0.1 * step,
        'energy_ev': rng.normal(),
        'kinetic_ev': 1 / 3,
        'closest_ang': 2.0,
        'stress': rng.normal(size=(3, 3)),
        'cell': rng.normal(size=(3, 3)),
        'positions': rng.normal(size=(3, 3)),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'a.frames'
    writer = RecordWriter(path, HEADER)
    for step in range(4):
        writer.append(frame(step))
    assert writer.n_records == 4
    writer.sync()
    return path


def assert_frames(records: Any, steps: list[int]) -> None:
    assert records['step'].tolist() == steps
    for record, step in zip(records, steps, strict=True):
        for name, value in frame(step).items():
            np.testing.assert_array_equal(record[name], value)


def test_records_come_back_to_the_last_bit(path: Path) -> None:
    header, records = read_records(path)
    assert header == HEADER
    assert_frames(records, [0, 1, 2, 3])
    assert read_records(path.read_bytes())[0] == HEADER
    assert records.flags.writeable  # not a window on the content of the file


def test_single_precision_halves_the_positions(tmp_path: Path) -> None:
    header = Header('frames', tuple(range(1, 97)), (True, True, True))
    assert header.stored.itemsize == 96 * 12 + 188
    writer = RecordWriter(tmp_path / 'a', header)
    writer.append(frame(0) | {'positions': np.full((96, 3), 123.456789)})
    assert np.abs(read_records(tmp_path / 'a')[1]['positions'] - 123.456789).max() < 1e-5


@pytest.mark.parametrize('cut', [1, 100, HEADER.stored.itemsize - 1])
def test_half_a_record_at_the_end_is_not_returned(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:-cut])
    assert_frames(read_records(path)[1], [0, 1, 2])


def test_a_last_record_of_nothing_is_not_returned(path: Path) -> None:
    """As a file system leaves it after a power cut: the length is there and the content is not."""
    size = HEADER.stored.itemsize
    path.write_bytes(path.read_bytes()[:-size] + bytes(size))
    assert_frames(read_records(path)[1], [0, 1, 2])


@pytest.mark.parametrize('where', [3, 20, 40, -2 * HEADER.stored.itemsize + 9])
def test_damage_is_told(path: Path, where: int) -> None:
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'a.frames.*(damaged|of this version)|damaged'):
        read_records(path)


def test_a_file_is_cut_back_and_gone_on_with(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + b'half a record')
    writer = RecordWriter(path, HEADER, 2)
    assert_frames(read_records(path)[1], [0, 1])
    for step in (2, 3):
        writer.append(frame(step))
    assert path.read_bytes() == whole


def test_a_file_of_something_else_or_too_short_is_not_gone_on_with(path: Path) -> None:
    with pytest.raises(ValueError, match='has not the 5 records'):
        RecordWriter(path, HEADER, 5)
    with pytest.raises(ValueError, match='has not the 2 records'):
        RecordWriter(path, Header('frames', (3, 15, 15), (True, True, False), 'float64'), 2)
    assert_frames(read_records(path)[1], [0, 1, 2, 3])
    RecordWriter(path, HEADER)
    assert_frames(read_records(path)[1], [])
