"""Folders of jobs on their computers: which may go, how large they are, and taking them away.

By the asynchronous side of the transport, in a thread with a loop of its own: the blocking one of ssh wants the broker,
and a chain that cleans up runs in a loop already. Only what was asked for before and is noted after touches the
database, in the thread of the caller.
"""

from __future__ import annotations

import asyncio
import shlex
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from aiida.orm import CalcJobNode, Computer, QueryBuilder, RemoteData, load_computer, load_node

from .cost import ENDED
from .jobs import CACHED_FROM

AT_ONCE = 4
"""Folders that are taken away beside each other over one connection."""
MANY = 50
"""Folders whose size is asked for at a time."""
CONNECT_S, DU_S, REMOVE_S = 20.0, 60.0, 600.0
"""Seconds for a login, for the sizes of as many folders as are asked for at a time, and for taking one away."""
CLEANED = RemoteData.KEY_EXTRA_CLEANED
Result = TypeVar('Result')


@dataclass(frozen=True)
class Folder:
    """Where a job has worked, and left what it worked with.

    :ivar job: pk of the job.
    :ivar cleaned: whether AiiDA has noted that it is gone.
    """

    pk: int
    job: int
    job_uuid: str
    path: str
    computer: str
    cleaned: bool

    @property
    def is_of_its_job(self) -> bool:
        """Whether the folder is called after the job, as AiiDA calls them: nothing else is ever taken away."""
        path, uuid = PurePosixPath(self.path), self.job_uuid
        return path.is_absolute() and path.parts[-3:] == (uuid[:2], uuid[2:4], uuid[4:])

    @property
    def base(self) -> str:
        """The folder of all jobs on its computer; where it is missing, nothing can be said of one of them."""
        return str(PurePosixPath(self.path).parents[2])


def folders_of(jobs: Iterable[int]) -> list[Folder]:
    """Return the folders of jobs, without those from the cache: theirs is the folder of the job that has run."""
    pks = sorted(set(jobs))
    if not pks:
        return []
    filters = {'id': {'in': pks}, 'extras': {'!has_key': CACHED_FROM}}
    query = QueryBuilder().append(CalcJobNode, filters=filters, tag='job', project=['id', 'uuid'])
    query.append(Computer, with_node='job', project='label')
    query.append(
        RemoteData,
        with_incoming='job',
        edge_filters={'label': 'remote_folder'},
        project=['id', 'attributes.remote_path', f'extras.{CLEANED}'],
    )
    return [
        Folder(pk, job, uuid, path, computer, bool(cleaned))
        for job, uuid, computer, pk, path, cleaned in query.order_by({'job': 'id'}).all()
    ]


def in_use(folders: Sequence[Folder]) -> set[int]:
    """Return the pks of folders that a job goes on from which has not ended."""
    if not folders:
        return set()
    state = 'attributes.process_state'
    running = {'or': [{state: {'!in': list(ENDED)}}, {'attributes': {'!has_key': 'process_state'}}]}
    query = QueryBuilder().append(
        RemoteData, filters={'id': {'in': [folder.pk for folder in folders]}}, tag='folder', project='id'
    )
    query.append(CalcJobNode, with_incoming='folder', edge_filters={'label': 'parent_folder'}, filters=running)
    return set(query.all(flat=True))


def clean(
    folders: Sequence[Folder],
    tell: Callable[[Folder, str | None], None] | None = None,
    seconds: float | None = None,
) -> dict[int, str]:
    """Take folders away, over one connection for each computer, and return why some are still there, by their pk.

    Each is noted as cleaned as soon as it is gone, so that what was broken off goes on; one that is gone already, as
    where a site clears its scratch, is noted too. One that a job which has not ended goes on from is left.

    :param tell: is given each folder when it is done with, and what the problem was.
    :param seconds: after which a computer is given up.
    """
    problems: dict[int, str] = {}
    used = in_use(folders)
    by_computer: dict[str, list[Folder]] = {}

    def done(folder: Folder, problem: str | None) -> None:
        if problem is not None:
            problems[folder.pk] = problem
        if tell is not None:
            tell(folder, problem)

    for folder in folders:
        if folder.cleaned:
            continue
        if folder.pk in used:
            done(folder, 'a job goes on from it that has not ended')
        elif not folder.is_of_its_job:
            done(folder, f'{folder.path} is not named after its job')
        else:
            by_computer.setdefault(folder.computer, []).append(folder)
    for computer, there in by_computer.items():
        for folder, problem in _taken_away(computer, there, seconds):
            if problem is None:
                load_node(folder.pk).base.extras.set(CLEANED, True)
            done(folder, problem)
    return problems


def _taken_away(computer: str, folders: Sequence[Folder], seconds: float | None) -> Iterator[tuple[Folder, str | None]]:
    """Yield each folder of a computer as soon as it is gone, or with why it is not."""
    ended: SimpleQueue[tuple[Folder, str | None] | None] = SimpleQueue()
    left = {folder.pk: folder for folder in folders}
    # A transport that blocks holds its thread however long: nothing may go any more that nobody looks at.
    given_up = threading.Event()

    async def remove_all(transport: Any) -> None:
        places = asyncio.Semaphore(AT_ONCE)

        async def take(folder: Folder) -> str | None:
            # Here, for what is waited for with a limit begins a moment later than the waiting.
            return 'given up' if given_up.is_set() else await _remove(transport, folder)

        async def remove(folder: Folder) -> None:
            async with places:
                ended.put((folder, await _within(REMOVE_S, take(folder), f'taking {folder.path} away')))

        await asyncio.gather(*(remove(folder) for folder in folders))

    answer = _Answer(computer, remove_all, seconds, lambda: ended.put(None))
    try:
        while (one := _next(ended, answer.remaining())) is not None:
            del left[one[0].pk]
            yield one
    finally:
        given_up.set()
    for folder in left.values():
        yield folder, f'{computer}: {answer.problem or answer.too_late}'


def _next(
    ended: SimpleQueue[tuple[Folder, str | None] | None], seconds: float | None
) -> tuple[Folder, str | None] | None:
    try:
        return ended.get(timeout=seconds)
    except Empty:
        return None


async def _remove(transport: Any, folder: Folder) -> str | None:
    """Return why a folder could not be taken away."""
    try:
        if await transport.path_exists_async(folder.path):
            await transport.rmtree_async(folder.path)
            if await transport.path_exists_async(folder.path):
                return f'{folder.path} is still there'
        elif not await transport.path_exists_async(folder.base):
            return f'{folder.base} is not there: is its disk mounted?'
    except OSError as error:
        return f'{folder.path}: {error or type(error).__name__}'
    return None


def sizes_of(folders: Sequence[Folder], seconds: float | None = None) -> tuple[dict[int, int], list[str]]:
    """Return how many bytes folders take on their disks, by their pk, and what could not be asked.

    One that is gone has none; one that was noted as cleaned is not asked for.
    """
    sizes = {folder.pk: 0 for folder in folders if folder.cleaned}
    problems = []
    left = [folder for folder in folders if not folder.cleaned]
    for computer in dict.fromkeys(folder.computer for folder in left):
        there = [folder for folder in left if folder.computer == computer]
        answer = _Answer(computer, partial(_measure, folders=there), seconds)
        found = answer.wait()
        if found is None:
            problems.append(f'{computer} cannot be asked: {answer.problem}')
        else:
            sizes |= found
    return sizes, problems


async def _measure(transport: Any, folders: Sequence[Folder]) -> dict[int, int]:
    sizes: dict[int, int] = {}
    for start in range(0, len(folders), MANY):
        batch = folders[start : start + MANY]
        paths = ' '.join(shlex.quote(folder.path) for folder in batch)
        # Without one of the folders du goes on, and says so on the other stream.
        asked = transport.exec_command_wait_async(f'du -s -k -- {paths} 2>/dev/null')
        _, said, _ = await _within(DU_S, asked, 'du')
        lines = [line.split('\t', 1) for line in said.splitlines() if '\t' in line]
        found = {path.strip(): 1024 * int(kilobytes) for kilobytes, path in lines if kilobytes.isdigit()}
        for folder in batch:
            if folder.path in found:
                sizes[folder.pk] = found[folder.path]
            elif await transport.path_exists_async(folder.base) and not await transport.path_exists_async(folder.path):
                sizes[folder.pk] = 0
    return sizes


async def _within(seconds: float, work: Coroutine[Any, Any, Result], what: str) -> Result:
    """Return the result of what is done on a computer.

    :raises TimeoutError: naming it, if it takes longer.
    """
    try:
        return await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError as error:  # a class of its own before Python 3.11
        raise TimeoutError(f'{what}: no answer within {seconds:g} s') from error


class _Answer(Generic[Result]):
    """What is answered through a connection to a computer.

    :ivar problem: why there is no answer.
    """

    def __init__(
        self,
        computer: str,
        ask: Callable[[Any], Coroutine[Any, Any, Result]],
        seconds: float | None,
        at_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.problem: str | None = None
        self.too_late = f'no answer within {seconds} s'
        self._until = None if seconds is None else time.monotonic() + seconds
        self._result: Result | None = None
        self._ask, self._seconds, self._at_end = ask, seconds, at_end
        self._thread = threading.Thread(target=self._work, name=f'litraj-{computer}', daemon=True)
        try:
            self._transport = load_computer(computer).get_transport()
        except Exception as error:  # not configured, or no longer there: as for anything else on the way to it
            self.problem = str(error) or type(error).__name__
            at_end()
        else:
            self._thread.start()

    def wait(self) -> Result | None:
        """Return the answer, or ``None`` if there is none."""
        if self.problem is None:
            self._thread.join(self.remaining())
            if self._thread.is_alive():
                self.problem = self.too_late
        return self._result if self.problem is None else None

    def remaining(self) -> float | None:
        """Return how many seconds are left to wait for it, ``None`` for any number."""
        return None if self._until is None else max(self._until - time.monotonic(), 0.0)

    def _work(self) -> None:
        try:
            self._result = asyncio.run(asyncio.wait_for(self._connect_and_ask(), self._seconds))
        except (TimeoutError, asyncio.TimeoutError) as error:
            self.problem = str(error) or self.too_late
        except Exception as error:
            self.problem = str(error) or type(error).__name__
        self._at_end()

    async def _connect_and_ask(self) -> Result:
        transport = await _within(CONNECT_S, self._transport.__aenter__(), 'login')
        try:
            return await self._ask(transport)
        finally:
            # A computer that has gone silent does not say good-bye either.
            with suppress(Exception):
                await _within(CONNECT_S, self._transport.__aexit__(None, None, None), 'logout')
