"""A group of MPI ranks as the engine drives it: started by a launcher, asked over its pipes, gone with the engine."""

from __future__ import annotations

import os
import select
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from ...contract.arrays import AnyArray
from ...contract.errors import LitrajError
from ...contract.gpaw import MPIEXEC_VARIABLE
from ..signals import signals_blocked
from .mpi_wire import decode, encode, read

START_SECONDS = 180.0
"""How long a group may take to start, on a node that reads its programs over a network, before it counts as hung."""
_LONGEST = 600
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[3])
_OF_OTHERS = (
    'OMPI_APP_', 'OMPI_COMM_', 'OMPI_MCA_ess', 'OMPI_MCA_orte_ess_', 'OMPI_MCA_orte_launch',
    'OMPI_MCA_orte_precondition', 'OMPI_MCA_pmix', 'ORTE_SCHIZO', 'PMIX_', 'PMI_',
)  # fmt: skip
"""Variables of a process that is a rank itself: a launcher that finds them takes itself for a part of that program."""
_SETTINGS = {
    # Else each launcher binds its first rank to the first core, and two groups share that.
    'OMPI_MCA_hwloc_base_binding_policy': 'none',
    'PRTE_MCA_hwloc_default_binding_policy': 'none',
}


class GroupLost(RuntimeError):
    """The ranks are gone without having been asked to go."""


class GroupCrashed(RuntimeError):
    """The ranks have met what they do not know; the message is their traceback. A new group may do the next."""


class MpiGroup:
    """``ranks`` ranks of ``python -m module``.

    :raises LitrajError: ``ERROR_MPI`` with the words of the launcher if they do not start, and what they refuse.
    """

    def __init__(self, module: str, ranks: int, greeting: Mapping[str, Any]) -> None:
        self.ranks = ranks
        self._launcher = shlex.split(os.environ.get(MPIEXEC_VARIABLE) or 'mpiexec')
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the group
        command = [*self._launcher, '-n', str(ranks), sys.executable, '-m', module]
        try:
            with signals_blocked():
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, env=_environment()
                )
        except OSError as error:
            remedy = f'install MPI, or let {MPIEXEC_VARIABLE} name its launcher'
            reason = f'{self._launcher[0]}: {error.strerror}; {remedy}'
            raise LitrajError('ERROR_MPI', reason=reason) from error
        self.ready = self._start(greeting)

    def _start(self, greeting: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._send(encode(greeting))
            header, _ = self._receive(START_SECONDS)
        except (EOFError, OSError, TimeoutError, ValueError) as error:
            slow = f'no answer within {START_SECONDS:g} s; ' if isinstance(error, TimeoutError) else ''
            self.close()
            words = self._words() or 'it said nothing'
            launched = ' '.join([*self._launcher, '-n', str(self.ranks)])
            raise LitrajError('ERROR_MPI', reason=f'{launched}: {slow}{words}') from error
        if header['kind'] == 'ready' and header['ranks'] != self.ranks:
            self.close()
            reason = f'{self._launcher[0]} started {header["ranks"]} rank(s) that know of each other, not {self.ranks}'
            raise LitrajError('ERROR_MPI', reason=f'{reason}: it is not of the MPI that the program is built with')
        if header['kind'] != 'ready':
            self.close()
            raise _told(header)
        return header

    def ask(self, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, AnyArray]]:
        """Return the answer to a message.

        :raises LitrajError: what the ranks refuse.
        :raises GroupCrashed: if they have crashed on it; the group is closed.
        :raises GroupLost: if they are gone, saying what ended them.
        """
        try:
            self._send(encode(header, arrays))
            answer, found = self._receive(None)
        except (EOFError, OSError, ValueError) as error:
            raise GroupLost(self._how_it_died()) from error
        if answer['kind'] != 'done':
            if answer['kind'] == 'crashed':
                self.close()
            raise _told(answer)
        return answer, found

    def check(self) -> None:
        """Refuse to go on with a group that is gone.

        :raises GroupLost: saying what ended it.
        """
        if self._process.poll() is not None:
            raise GroupLost(self._how_it_died())

    def close(self) -> None:
        """End the ranks."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue
        self._process.wait()

    def _send(self, message: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(message)
        self._process.stdin.flush()

    def _receive(self, seconds: float | None) -> tuple[dict[str, Any], dict[str, AnyArray]]:
        stream = self._process.stdout
        assert stream is not None
        if seconds is not None and not select.select([stream], [], [], seconds)[0]:
            raise TimeoutError
        return decode(read(stream))

    def _how_it_died(self) -> str:
        try:
            status: int | None = self._process.wait(10.0)  # the launcher may still be clearing up
        except subprocess.TimeoutExpired:
            status = None
        words = self._words()
        how = 'they do not answer any more'
        if status is not None:
            number = -status if status < 0 else status - 128
            killed = 0 < number < 65
            how = f'killed by signal {number} (out of memory?)' if killed else f'exit status {status}'
        return f'the MPI group of {self.ranks} ranks died: {how}{": " if words else ""}{words}'

    def _words(self) -> str:
        """Return what launcher and ranks have said last, in one line."""
        self._said.seek(0)
        text = self._said.read().decode(errors='replace')
        lines = [line.strip() for line in text.splitlines()]
        words = ' '.join(line for line in lines if line.strip('-= '))
        return words if len(words) <= _LONGEST else f'{words[: _LONGEST // 2]} ... {words[-_LONGEST // 2 :]}'


def _told(answer: Mapping[str, Any]) -> Exception:
    if answer['kind'] == 'refused':
        return LitrajError(answer['label'], **answer['fields'])
    return GroupCrashed(answer['words'])


def _environment() -> dict[str, str]:
    """Return the environment of a launcher."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith('PMIX_MCA_') or not name.startswith(_OF_OTHERS)
    }
    paths = [_PACKAGE_ROOT, *filter(None, [os.environ.get('PYTHONPATH')])]
    kept |= {'PYTHONPATH': os.pathsep.join(paths), 'OMP_NUM_THREADS': os.environ.get('OMP_NUM_THREADS', '1')}
    if os.geteuid() == 0:  # in a container there is no other user, and Open MPI asks to be told twice
        kept |= {'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1'}
    return {**_SETTINGS, **kept}
