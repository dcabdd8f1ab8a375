"""Chunks prepared by other processes, in order, with a bounded number under way."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from typing import IO

from ..card import Card
from ..entry import Chunk
from .rows import Granularity, Prepared, prepare
from .wire import Settings, receive, receive_chunk, receive_prepared, send, send_chunk, send_prepared

AHEAD = 2
"""Chunks per worker that may wait: enough to keep all busy, few enough to bound the memory."""


class Workers:
    """Processes that prepare chunks; with none of them, the calling process does.

    They are plain child processes rather than ``multiprocessing``'s, which would run the caller's script again, and
    start when there is something to do. A thread per process hands it a chunk and waits for what comes back.
    """

    def __init__(self, number: int, card: Card, dataset: str, granularity: Granularity) -> None:
        self._number = number
        self._settings = Settings(card, dataset, granularity)
        self._tasks: queue.Queue[tuple[Chunk, Future[Prepared]] | None] = queue.Queue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            self._tasks.put(None)
            process.kill()
        for process, thread in zip(self._processes, self._threads, strict=True):
            process.wait()
            thread.join()
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):  # of what was to be written to a process that has died
                    _pipe(stream).close()

    def prepared(self, chunks: Iterable[Chunk]) -> Iterator[Prepared]:
        """Yield the chunks in their order, prepared; a bounded number is under way."""
        waiting: deque[Future[Prepared]] = deque()
        for chunk in chunks:
            if not self._number:
                yield prepare(self._settings.card, self._settings.dataset, chunk, self._settings.granularity)
                continue
            waiting.append(self._submit(chunk))
            if len(waiting) > self._number * AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _start(self) -> None:
        search = os.pathsep.join(path for path in sys.path if path)
        command = [sys.executable, '-m', __name__]
        for _ in range(self._number):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {'OMP_NUM_THREADS': '1', 'PYTHONPATH': search},
            )
            self._processes.append(process)
            self._threads.append(threading.Thread(target=self._serve, args=(process,), daemon=True))
            self._threads[-1].start()

    def _submit(self, chunk: Chunk) -> Future[Prepared]:
        if not self._processes:
            self._start()
        future: Future[Prepared] = Future()
        self._tasks.put((chunk, future))
        return future

    def _serve(self, process: subprocess.Popen[bytes]) -> None:
        """Hand chunks to one process; whatever goes wrong is told to the one who waits for the chunk."""
        started = False
        while (task := self._tasks.get()) is not None:
            chunk, future = task
            try:
                if not started:
                    send(_pipe(process.stdin), self._settings.as_dict())
                    started = True
                send_chunk(_pipe(process.stdin), chunk)
                answer = receive_prepared(_pipe(process.stdout))
                if not isinstance(answer, str) and (answer.chunk.start, answer.chunk.end) != (chunk.start, chunk.end):
                    raise ValueError('the answer is to another chunk')
            except BaseException as error:
                process.kill()  # what it would say next is no answer to anything
                died = RuntimeError(f'a worker that reads entries has died, or does not make sense: {error!r}')
                died.__cause__ = error
                future.set_exception(died)
                continue
            if isinstance(answer, str):
                future.set_exception(RuntimeError(answer))
            else:
                future.set_result(answer)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise OSError('the worker has no pipe')
    return stream


def _main() -> None:
    answers = os.fdopen(os.dup(1), 'wb')
    os.dup2(2, 1)  # whatever prints must not get between the answers
    try:
        settings = Settings.from_dict(receive(sys.stdin.buffer)[0])
        while True:
            chunk = receive_chunk(sys.stdin.buffer)
            try:
                answer: Prepared | str = prepare(settings.card, settings.dataset, chunk, settings.granularity)
            except Exception as error:
                answer = f'{chunk.file}, from line {chunk.first_line}: {type(error).__name__}: {error}'
            send_prepared(answers, answer)
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return


if __name__ == '__main__':
    _main()
