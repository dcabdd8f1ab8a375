"""Checkpoints: every bit comes back, and damage costs records, never the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.contract.arrays import Array
from aiida_litraj.engine.journal import Journal
from aiida_litraj.engine.models import Evaluation

PRINT, OTHER_PRINT = 'ab' * 32, 'cd' * 32
N_RECORDS = 4


def question(k: int) -> Array:
    return np.random.default_rng(k).normal(size=(2, 3))


def answer(k: int) -> Evaluation:
    rng = np.random.default_rng(100 + k)
    return Evaluation(float(rng.normal()), rng.normal(size=(2, 3)))


def write(path: Path, records: range = range(N_RECORDS)) -> None:
    journal = Journal(path, PRINT)
    for k in records:
        journal.append(k, 0, question(k), answer(k))
    journal.close()


def recalled(journal: Journal) -> list[int]:
    """Which of the records are there; each that is there must be the one that was written, to the last bit."""
    there = []
    for k in range(N_RECORDS + 1):
        found = journal.recall(k, 0, question(k))
        if found is not None:
            assert found.energy == answer(k).energy
            np.testing.assert_array_equal(found.forces, answer(k).forces)
            there.append(k)
    return there


def test_answers_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / 'a.journal'
    write(path)
    assert recalled(Journal(path, PRINT)) == list(range(N_RECORDS))


def test_numbers_that_are_none_come_back_too(tmp_path: Path) -> None:
    """A path that failed must fail again in the same way when it is replayed."""
    path = tmp_path / 'a.journal'
    odd = Evaluation(float('nan'), np.array([[np.inf, -0.0, 5e-324], [np.nan, -np.inf, 1.0]]))
    journal = Journal(path, PRINT)
    journal.append(0, 3, question(0), odd)
    journal.close()
    found = Journal(path, PRINT).recall(0, 3, question(0))
    assert found is not None
    assert np.isnan(found.energy)
    assert found.forces.tobytes() == odd.forces.tobytes()


def test_only_the_same_question_has_the_answer(tmp_path: Path) -> None:
    path = tmp_path / 'a.journal'
    write(path)
    journal = Journal(path, PRINT)
    close_by = question(1)
    close_by[0, 0] = np.nextafter(close_by[0, 0], 1.0)
    assert journal.recall(1, 0, close_by) is None
    assert journal.recall(1, 1, question(1)) is None
    assert journal.recall(2, 0, question(1)) is None
    assert journal.recall(1, 0, question(1)) is not None


def test_records_of_another_task_are_dropped(tmp_path: Path) -> None:
    """Other parameters, another potential or another path have another fingerprint."""
    path = tmp_path / 'a.journal'
    write(path)
    journal = Journal(path, OTHER_PRINT)
    assert recalled(journal) == []
    journal.append(0, 0, question(0), answer(0))
    journal.close()
    assert recalled(Journal(path, OTHER_PRINT)) == [0]
    assert recalled(Journal(path, PRINT)) == []


def test_cut_anywhere_it_keeps_what_was_whole(tmp_path: Path) -> None:
    """A kill can end the file at any byte; what is appended after a resume is found by the next one."""
    path = tmp_path / 'a.journal'
    write(path)
    content = path.read_bytes()
    write(tmp_path / 'one', range(1))
    record = (len(content) - (tmp_path / 'one').stat().st_size) // (N_RECORDS - 1)
    header = len(content) - N_RECORDS * record
    for end in range(len(content) + 1):
        path.write_bytes(content[:end])
        whole = max(0, (end - header) // record)
        journal = Journal(path, PRINT)
        assert recalled(journal) == list(range(whole)), f'cut after {end} bytes'
        journal.append(N_RECORDS, 0, question(N_RECORDS), answer(N_RECORDS))
        journal.close()
        assert recalled(Journal(path, PRINT)) == [*range(whole), N_RECORDS], f'cut after {end} bytes'


def test_flipped_bits_are_noticed(tmp_path: Path) -> None:
    """Whichever byte is wrong: the records before it are there, it and those after it are not."""
    path = tmp_path / 'a.journal'
    write(path)
    content = path.read_bytes()
    lost = []
    for k in range(len(content)):
        path.write_bytes(content[:k] + bytes([content[k] ^ 0x10]) + content[k + 1 :])
        there = recalled(Journal(path, PRINT))
        assert there == list(range(len(there)))
        lost.append(N_RECORDS - len(there))
    assert min(lost) == 1
    assert lost == sorted(lost, reverse=True)


@pytest.mark.parametrize('content', [b'', b'lit', b'\0' * 1000, b'PK\x03\x04 something else entirely'])
def test_a_file_that_is_no_journal_is_replaced(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / 'a.journal'
    path.write_bytes(content)
    assert recalled(Journal(path, PRINT)) == []
    write(path)
    assert recalled(Journal(path, PRINT)) == list(range(N_RECORDS))


def test_resumed_journal_is_the_unbroken_one(tmp_path: Path) -> None:
    broken, unbroken = tmp_path / 'broken', tmp_path / 'unbroken'
    write(unbroken)
    write(broken, range(2))
    write(broken, range(2, N_RECORDS))
    assert broken.read_bytes() == unbroken.read_bytes()


def test_discard_removes_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'a.journal'
    write(path)
    Journal(path, PRINT).discard()
    assert not path.exists()
    Journal(path, PRINT).discard()  # nothing to remove, nothing to complain about
