"""Download of a data set's file: resumed where it broke off, checked as far as it can be."""

from __future__ import annotations

import contextlib
import email.utils
import fcntl
import http.client
import json
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

from .. import __version__
from .intact import BLOCK, content_problem, file_sha256, zip_problem

_BACK_OFF_S = 60.0
"""Longest pause between two attempts."""
_FRESH_STARTS = 2
"""How often a file that came complete but wrong is fetched anew."""
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Answers of a server that may be others a moment later (RFC 9110, section 15; RFC 6585)."""


class FetchError(ValueError):
    """A download that did not succeed; ``remedy`` says what to do."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


class _TryAgainError(Exception):
    """Something that may pass; ``pause`` is how many seconds the server asks to wait."""

    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


class ProgressCallback(Protocol):
    """Told of each block: ``stage`` is download, sha256 or zip; ``total`` is None if nobody knows it."""

    def __call__(self, stage: str, done: int, total: int | None) -> None: ...


@dataclass(frozen=True)
class Fetched:
    """What has been fetched and how far it is known to be right.

    :ivar new: False if the file was there already.
    :ivar resumed_at: bytes from an earlier call that this one went on from; 0 if it began anew.
    :ivar attempts: requests to the server.
    :ivar checked: what was checked and holds.
    :ivar unchecked: what could not be checked, and why.
    """

    path: Path
    url: str
    size_bytes: int
    sha256: str
    new: bool
    resumed_at: int
    attempts: int
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]


@dataclass
class _State:
    """What is known of the file on the server, kept beside the part of it that is here."""

    url: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    def same_file(self, other: _State) -> bool:
        """Return False if what two answers say of the file differs; what only one says is no difference."""
        pairs = (
            (self.etag, other.etag), (self.last_modified, other.last_modified), (self.total, other.total),
        )  # fmt: skip
        return all(first == second for first, second in pairs if first is not None and second is not None)

    @property
    def if_range(self) -> str | None:
        """What to ask for the rest of the same file with; a weak tag cannot (RFC 9110, section 13.1.5)."""
        return self.etag if self.etag and not self.etag.startswith('W/') else self.last_modified


@dataclass
class _Download:
    """One file on its way; ``part`` is what there is of it, ``note`` what is known of the whole."""

    url: str
    path: Path
    size_bytes: int | None
    sha256: str | None
    attempts: int
    timeout: float
    sleep: Callable[[float], None]
    progress: ProgressCallback
    requests: int = 0
    resumed_at: int = 0
    """Bytes of an earlier call that have not been given up since."""
    wholes: int = 0
    """How often the file has come complete."""
    blind: bool = field(default=False)
    """Whether a part was continued although the server gives nothing by which to know its file again."""

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + '.part')

    @property
    def note(self) -> Path:
        return self.path.with_name(self.path.name + '.part.json')

    def there(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def known(self) -> _State | None:
        """Return what an earlier call noted, None if it is of no use."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            state = _State(**json.loads(self.note.read_text(encoding='utf-8')))
            # Another address may hold another file: only the card's checksum could tell in the end.
            if state.url == self.url or self.sha256 is not None:
                return state if state.url == self.url else _State(self.url, total=state.total)
        return None

    def forget(self) -> None:
        self.resumed_at = 0
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def fetch(
    url: str,
    path: Path,
    *,
    size_bytes: int | None = None,
    sha256: str | None = None,
    attempts: int = 8,
    timeout: float = 60.0,
    sleep: Callable[[float], None] = time.sleep,
    progress: ProgressCallback | None = None,
) -> Fetched:
    """Fetch ``url`` to ``path`` and return what is known of the file.

    What has arrived waits in ``<path>.part``: called again, the rest is asked for, unless the file on the server has
    changed meanwhile or the server only gives whole files, then it begins again. The file gets its name once all
    checks have passed. ``url`` may be ``http``, ``https`` or ``file``.

    :param size_bytes: size that the file must have.
    :param sha256: checksum that it must have.
    :param attempts: failures in a row, without one new byte, after which to give up; pauses double from 1 s. A file
        that comes complete but wrong is asked for as often, three times at most.
    :param timeout: seconds without a byte that count as a failure.
    :raises FetchError: if the address cannot be fetched, the disk is too small, or a check fails.
    """
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ('http', 'https', 'file'):
        raise FetchError(f'the address {url!r} cannot be fetched: it begins with neither http(s):// nor file://')
    path.parent.mkdir(parents=True, exist_ok=True)
    told = progress or _silent
    work = _Download(
        url, path, size_bytes, sha256.lower() if sha256 else None, max(1, attempts), timeout, sleep, told
    )  # fmt: skip
    if path.exists():
        digest, checked, unchecked = _check(work, path)
        return Fetched(path, url, path.stat().st_size, digest, False, 0, 0, checked, unchecked)
    with _alone(work.part):
        work.resumed_at = work.there() if work.known() else 0
        while True:
            total = _download(work)
            work.wholes += 1
            try:
                digest, checked, unchecked = _check(work, work.part, total)
                break
            except FetchError:
                work.forget()
                if work.wholes >= min(work.attempts, _FRESH_STARTS + 1):
                    raise
        os.replace(work.part, path)
        work.note.unlink(missing_ok=True)
    return Fetched(path, url, path.stat().st_size, digest, True, work.resumed_at, work.requests, checked, unchecked)


def _silent(stage: str, done: int, total: int | None) -> None:
    pass


@contextlib.contextmanager
def _alone(part: Path) -> Iterator[None]:
    """Keep a second call from writing to the same part."""
    lock = part.with_name(part.name + '.lock')
    with lock.open('w') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise FetchError(f'{part} is being written by another process', 'Wait for it, or end it.') from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _download(work: _Download) -> int | None:
    """Fetch what is missing, as often as needed, and return the size that the server promised."""
    failures = 0
    while True:
        before = work.there()
        try:
            return _request(work)
        except _TryAgainError as error:
            failures = 1 if work.there() > before else failures + 1
            if failures >= work.attempts:
                got = f'{work.there():,} bytes are in {work.part}'
                raise FetchError(
                    f'{work.url} could not be fetched: {error}, {failures} times in a row; {got}',
                    'The same command goes on from there; --url takes a mirror.',
                ) from error
            work.sleep(min(_BACK_OFF_S, 2.0 ** (failures - 1)) if error.pause is None else error.pause)


def _request(work: _Download) -> int | None:
    """Ask for the file or the rest of it, write what comes and return the size of the whole."""
    known, have = work.known(), work.there()
    if known is None:
        have = 0
    elif known.total is not None and have == known.total > 0:
        return known.total
    work.requests += 1
    headers = {'User-Agent': f'aiida-litraj/{__version__}', 'Accept-Encoding': 'identity'}
    if have and known is not None:
        headers['Range'] = f'bytes={have}-'
        if known.if_range:
            headers['If-Range'] = known.if_range
    try:
        with urllib.request.urlopen(urllib.request.Request(work.url, headers=headers), timeout=work.timeout) as answer:
            return _receive(work, answer, known, have)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            work.forget()
            raise _TryAgainError('the part that is here goes beyond the file on the server', pause=0.0) from error
        if error.code in _PASSING:
            raise _TryAgainError(f'the server says {error.code} {error.reason}', _retry_after(error)) from error
        raise FetchError(
            f'{work.url} could not be fetched: the server says {error.code} {error.reason}',
            'Look where the file has gone and give its address with --url.',
        ) from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, FileNotFoundError | IsADirectoryError | PermissionError):
            raise FetchError(f'{work.url} could not be fetched: {error.reason}') from error
        raise _TryAgainError(str(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, OSError) and error.errno in (28, 122):  # no space left, quota exceeded
            raise FetchError(
                f'{work.part} cannot be written: {error.strerror}', 'Make room; the same command goes on.'
            ) from error
        raise _TryAgainError(f'the connection broke: {error or type(error).__name__}') from error


def _receive(work: _Download, answer: Any, known: _State | None, have: int) -> int | None:
    """Write an answer's body behind what is there, or anew if it is the whole file or another file."""
    offset, total = 0, _whole_number(answer.headers.get('Content-Length'))
    if getattr(answer, 'status', None) == 206:
        offset, total = _content_range(answer.headers.get('Content-Range', ''))
        if offset != have:
            work.forget()
            raise _TryAgainError(
                f'the server gave bytes from {offset} on when asked for those from {have} on', pause=0.0
            )
    if not offset:
        work.resumed_at = 0
    state = _State(work.url, answer.headers.get('ETag'), answer.headers.get('Last-Modified'), total)
    if offset and known is not None:
        if not known.same_file(state):
            work.forget()
            raise _TryAgainError('the file on the server has changed', pause=0.0)
        work.blind = work.blind or not (known.etag or known.last_modified)
    if total is not None and work.size_bytes is not None and total != work.size_bytes:
        raise FetchError(
            f'{work.url} has {total:,} bytes, {work.size_bytes:,} were expected',
            'The publisher has changed the file: look at its page, then give a card with the new size.',
        )
    _demand_room(work, total, offset)
    work.note.write_text(json.dumps(asdict(state)), encoding='utf-8')
    with work.part.open('r+b' if offset else 'wb') as file:
        file.seek(offset)
        done = _copy(answer, file, offset, total, work.progress)
    if total is not None and done < total:
        raise _TryAgainError(f'the connection ended after {done:,} of {total:,} bytes')
    return total


def _copy(answer: Any, file: IO[bytes], done: int, total: int | None, progress: ProgressCallback) -> int:
    progress('download', done, total)
    # read1: what has come is written at once, so that a break loses nothing.
    read = getattr(answer, 'read1', answer.read)
    while block := read(BLOCK):
        file.write(block)
        done += len(block)
        progress('download', done, total)
    return done


def _demand_room(work: _Download, total: int | None, have: int) -> None:
    free = shutil.disk_usage(work.path.parent).free
    if total is not None and total - have > free:
        raise FetchError(
            f'{work.path.parent} has {free / 1e9:.1f} GB free, {work.path.name} needs {(total - have) / 1e9:.1f} GB',
            'Make room, or give another place with --output.',
        )


def _check(work: _Download, path: Path, total: int | None = None) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return the file's sha256, what holds and what could not be checked.

    :raises FetchError: if a check fails.
    """
    size = path.stat().st_size
    checked, unchecked = [], []
    promised = work.size_bytes if work.size_bytes is not None else total
    if promised is None and path == work.path:
        unchecked.append('size: the card has none, and the server was not asked, for the file was there')
    elif promised is None:
        unchecked.append('size: the server gives none')
    elif size != promised:
        raise _wrong(work, path, f'it has {size:,} bytes, it should have {promised:,}')
    else:
        checked.append(f'size ({size:,} bytes, as {"expected" if work.size_bytes is not None else "the server says"})')
    if problem := content_problem(path, work.path.suffix):
        raise _wrong(work, path, problem)
    digest = file_sha256(path, lambda done: work.progress('sha256', done, size))
    if work.sha256 is None:
        unchecked.append('sha256: the card has none')
    elif digest != work.sha256:
        raise _wrong(work, path, f'its sha256 is {digest}, the card says {work.sha256}')
    else:
        checked.append('sha256, as the card says')
    if work.path.suffix.lower() == '.zip':
        if problem := zip_problem(path, lambda done: work.progress('zip', done, size)):
            raise _wrong(work, path, problem)
        checked.append('every member of the zip against its CRC-32')
    elif work.sha256 is None:
        unchecked.append('content: only a zip has checksums of its own')
    if work.blind and work.sha256 is None:
        unchecked.append('whether the file changed between two parts: the server gives neither ETag nor date')
    return digest, tuple(checked), tuple(unchecked)


def _wrong(work: _Download, path: Path, problem: str) -> FetchError:
    if path == work.path:
        return FetchError(f'{path} is there, but {problem}', 'Remove it to fetch it anew, or give another --output.')
    return FetchError(
        f'{work.url} came, but {problem}; fetched {"once" if work.wholes == 1 else f"{work.wholes} times"}',
        'Try later or a mirror (--url). If the publisher has changed the file, give a card that says so.',
    )


def _whole_number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdigit() else None


def _content_range(text: str) -> tuple[int, int | None]:
    """Return the first byte and the size of the whole from ``bytes 10-99/100``."""
    span, _, whole = text.removeprefix('bytes').strip().partition('/')
    first = _whole_number(span.partition('-')[0])
    if first is None:
        raise _TryAgainError(f'the server gave a part without saying which (Content-Range {text!r})')
    return first, _whole_number(whole)


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    """Return the seconds that a server asks to wait, at most the longest pause."""
    text = error.headers.get('Retry-After') if error.headers else None
    if text is None:
        return None
    if (seconds := _whole_number(text)) is None:
        moment = email.utils.parsedate_to_datetime(text) if text[:1].isalpha() else None
        seconds = int(moment.timestamp() - time.time()) if moment is not None else 1
    return float(min(_BACK_OFF_S, max(0, seconds)))
