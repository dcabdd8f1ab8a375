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

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            self._tasks.put(None)
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()

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
            threading.Thread(target=self._serve, args=(process,), daemon=True).start()

    def _submit(self, chunk: Chunk) -> Future[Prepared]:
        if not self._processes:
            self._start()
        future: Future[Prepared] = Future()
        self._tasks.put((chunk, future))
        return future

    def _serve(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None and process.stdout is not None
        started = False
        while (task := self._tasks.get()) is not None:
            chunk, future = task
            try:
                if not started:
                    send(process.stdin, self._settings.as_dict())
                    started = True
                send_chunk(process.stdin, chunk)
                answer = receive_prepared(process.stdout)
            except (OSError, EOFError, ValueError) as error:
                future.set_exception(RuntimeError(f'a worker that reads entries has died: {error!r}'))
                continue
            if isinstance(answer, str):
                future.set_exception(RuntimeError(answer))
            else:
                future.set_result(answer)


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
