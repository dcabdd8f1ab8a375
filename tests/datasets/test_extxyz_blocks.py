"""Cutting a stream into stretches: the same configurations whatever the size, in bounded memory, from any cursor."""

from __future__ import annotations

import io
import random

import pytest

from aiida_litraj.datasets.extxyz import blocks, read_block, stretches

HEAD = 'Lattice="4.0 0.0 0.0 0.0 5.0 0.0 0.0 0.0 6.0" Properties=species:S:1:pos:R:3'


def frame(number: int, n_atoms: int) -> str:
    rows = ''.join(f'Li {number}.5 {atom}.0 0.0\n' for atom in range(n_atoms))
    return f'{n_atoms}\n{HEAD} number={number}\n{rows}'


GARBAGE = ('xyz\n', f'3\n{HEAD}\nLi 0 0 0\n', f'1\n{HEAD}\nLi 0 0 0\nLi 0 0 0\n', '\n\n', 'a b c\nd e\n')


def text_with_garbage(seed: int) -> bytes:
    """Some configurations with something wrong between some of them."""
    dice = random.Random(seed)
    pieces = []
    for number in range(40):
        pieces.append(frame(number, dice.randint(1, 12)))
        if dice.random() < 0.3:
            pieces.append(dice.choice(GARBAGE))
    return ''.join(pieces).encode()


@pytest.mark.parametrize('seed', range(12))
@pytest.mark.parametrize('size', [1, 3, 7, 1000])
def test_stretches_hold_what_the_whole_text_holds(seed: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, 'READ_BYTES', 100 + 37 * seed)
    data = text_with_garbage(seed)
    whole = [(one.line, one.reason, one.frame and one.frame.to_bytes()) for one in read_block(data)]
    pieces = []
    end = line = 0
    for stretch in stretches(io.BytesIO(data), size):
        assert data[stretch.offset : stretch.offset + len(stretch.data)] == stretch.data
        found = read_block(stretch.data, first_line=stretch.line)
        assert len(found) == stretch.n_blocks <= size
        assert stretch.offset == end and stretch.line == line + 1
        end, line = stretch.offset + len(stretch.data), stretch.line + stretch.n_lines - 1
        pieces += [(one.line, one.reason, one.frame and one.frame.to_bytes()) for one in found]
    assert pieces == whole
    assert {f'{number}' for number in range(40)} == {
        str(one.frame.info[0]['number'])
        for one in read_block(data)
        if one.frame is not None and 'number' in one.frame.info[0]
    }


@pytest.mark.parametrize('seed', range(4))
def test_any_stretch_can_be_the_first(seed: int) -> None:
    data = text_with_garbage(seed)
    all_of_them = list(stretches(io.BytesIO(data), 3))
    for number, stretch in enumerate(all_of_them):
        stream = io.BytesIO(data)
        stream.seek(stretch.offset)
        assert list(stretches(stream, 3, stretch.offset, stretch.line)) == all_of_them[number:]


def test_memory_is_bounded_however_long_a_line_or_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, 'READ_BYTES', 1000)
    monkeypatch.setattr(blocks, 'MAX_BYTES', 10_000)
    noise = b'noise and no end ' * 10_000
    data = frame(1, 3).encode() + noise + b'\n' + frame(2, 3).encode()
    found = list(stretches(io.BytesIO(data), 100))
    assert b''.join(one.data for one in found) == data
    assert max(len(one.data) for one in found) < 15_000
    frames = [one for stretch in found for one in read_block(stretch.data) if one.frame is not None]
    assert [one.frame.info[0]['number'] for one in frames if one.frame is not None][:1] == [1]


def test_windows_line_ends_are_counted_as_they_stand() -> None:
    data = (frame(1, 2) + frame(2, 2)).replace('\n', '\r\n').encode()
    found = list(stretches(io.BytesIO(data), 1))
    assert [(one.offset, one.line) for one in found] == [(0, 1), (len(data) // 2, 5)]
    assert all(read_block(one.data)[0].frame is not None for one in found)
