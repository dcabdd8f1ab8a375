"""A login on a computer, by AiiDA's own transport, opened once for all checks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from .deadline import TooSlow

if TYPE_CHECKING:
    from aiida.orm import Computer

T = TypeVar('T')


class Session:
    """Runs commands on a computer, each within a time.

    :ivar error: why it could not be opened, if it could not.
    :ivar user: the name that one has there, once the login has been looked at.
    """

    def __init__(self, computer: Computer, answer_s: float) -> None:
        self.error: BaseException | None = None
        self.user = ''
        self._computer, self._answer_s = computer, answer_s
        self._transport: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tried = False

    def open(self) -> None:
        """Log in, unless that has been tried; what is in the way is kept as ``error``."""
        if self._tried:
            return
        self._tried = True
        self._loop = asyncio.new_event_loop()
        transport = self._computer.get_transport()
        try:
            self._wait(transport.open_async())
        except Exception as error:
            self.error = error
        else:
            self._transport = transport

    def run(self, command: str, stdin: str | None = None) -> tuple[int, str, str]:
        """Return exit status, output and errors of a command.

        :raises TooSlow: if it does not end in time.
        """
        self.open()
        if self._transport is None:
            raise ConnectionError(str(self.error))
        status, stdout, stderr = self._wait(self._transport.exec_command_wait_async(command, stdin=stdin))
        return -1 if status is None else int(status), str(stdout), str(stderr)

    def close(self) -> None:
        """Log out, whatever has become of the connection."""
        if self._loop is None:
            return
        with contextlib.suppress(Exception):
            if self._transport is not None:
                self._wait(self._transport.close_async())
        with contextlib.suppress(Exception):
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None
        try:
            return self._loop.run_until_complete(asyncio.wait_for(work, self._answer_s))
        except asyncio.TimeoutError as error:
            raise TooSlow(f'no answer within {self._answer_s:g} s') from error
