"""A process that reads entries may die or talk nonsense: the import says so, and the next one goes on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiida_litraj.datasets.card import load_card
from aiida_litraj.datasets.entry import Chunk
from aiida_litraj.datasets.importers import importer_of
from aiida_litraj.datasets.ingest import workers as crew_module
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.ingest.workers import Workers
from aiida_litraj.datasets.make import make
from aiida_litraj.datasets.source import Source
from aiida_litraj.groups.verify import verify

N = 40
HEAD = """
import sys, time
from aiida_litraj.datasets.ingest.wire import receive, receive_chunk, send
out = sys.stdout.buffer
"""
NONSENSE = {
    'text': "print('hello' * 100, flush=True); time.sleep(60)",
    'a length beyond all memory': "out.write(b'litraj1\\n' + b'\\x7f' * 16); out.flush(); time.sleep(60)",
    'no JSON': "out.write(b'litraj1\\n' + (3).to_bytes(8, 'little') + bytes(8) + b'{[}'); out.flush(); time.sleep(60)",
    'a message of another kind': "send(out, {'chunk': 1}); time.sleep(60)",
    'too few contents': "send(out, {'drafts': [[0] * 6], 'paths': [], 'chunk': {}, 'problems': [], 'ids': []})",
    'an end': 'receive(sys.stdin.buffer); receive_chunk(sys.stdin.buffer); raise SystemExit(3)',
    'silence and an end': 'raise SystemExit(0)',
}


@pytest.fixture
def chunks(tmp_path: Path) -> Iterator[list[Chunk]]:
    source, card = make('MPLiTrj', tmp_path, n=N, atoms=8), load_card('MPLiTrj')
    with Source.open(source) as opened:
        parts, _ = importer_of(card).parts(opened, card)
        yield [one for part in parts for one in importer_of(card).chunks(opened, card, part, size=4)]


@pytest.mark.timeout(60)
@pytest.mark.parametrize('nonsense', NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_told(nonsense: str, chunks: list[Chunk], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes back in place of an answer, nobody waits for ever."""
    popen = subprocess.Popen

    def other(command: Any, **options: Any) -> Any:
        return popen([sys.executable, '-c', HEAD + nonsense], stderr=subprocess.DEVNULL, **options)

    monkeypatch.setattr(crew_module.subprocess, 'Popen', other)
    with (
        Workers(2, load_card('MPLiTrj'), 'MPLiTrj', 'entry') as crew,
        pytest.raises(RuntimeError, match='a worker that reads entries has died, or does not make sense'),
    ):
        list(crew.prepared(chunks))


@pytest.mark.timeout(60)
def test_an_error_of_the_thread_is_told(chunks: list[Chunk], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that nobody thought of."""

    def broken(stream: object) -> None:
        raise LookupError('nobody thought of it')

    monkeypatch.setattr(crew_module, 'receive_prepared', broken)
    with (
        Workers(1, load_card('MPLiTrj'), 'MPLiTrj', 'entry') as crew,
        pytest.raises(RuntimeError, match='nobody thought of it'),
    ):
        list(crew.prepared(chunks))


@pytest.mark.timeout(120)
@pytest.mark.usefixtures('aiida_profile_clean')
def test_a_killed_worker_ends_the_import_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make('MPLiTrj', tmp_path, n=N, atoms=8)
    processes: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            processes.append(self)

    def kill(part: str, done: int, whole: int | None) -> None:
        if part != 'checksum' and done:
            for one in processes:
                one.kill()

    monkeypatch.setattr(crew_module.subprocess, 'Popen', Noted)
    with pytest.raises(RuntimeError, match='a worker that reads entries has died'):
        import_dataset(source, 'MPLiTrj', workers=1, chunk_size=2, progress=kill)
    assert processes and all(one.poll() is not None for one in processes)
    monkeypatch.undo()
    again = import_dataset(source, 'MPLiTrj', workers=1, chunk_size=2)
    assert 0 < again.stored < again.entries == N
    assert verify('MPLiTrj', [source]).ok
