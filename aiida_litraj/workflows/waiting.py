"""Waiting for any of several children: AiiDA by itself waits for all of them."""

from __future__ import annotations

from functools import partial

from aiida.engine import ProcessState, WorkChain


class WaitsForAny(WorkChain):
    """A chain whose next step comes when one of the children that it waits for has ended, and not the last.

    Each step says anew what is waited for, so what has not ended must be in its ``ToContext`` once more. Where AiiDA
    binds what it is told to what the step of that time waited for, this looks up what the present step does: a child
    that runs on is one of both, and of its end a chain is to be told once. Without the change it would wait for all.
    """

    def _action_awaitables(self) -> None:
        """Ask to be told of the end of each child, once; what ended between two steps is told to the present one."""
        asked = self.__dict__.setdefault('_asked_of', set())
        ended = self.__dict__.setdefault('_ended', set())
        for pk in {awaitable.pk for awaitable in self._awaitables}:
            if pk in ended:
                self.call_soon(self._on_child_ended, pk)
            elif pk not in asked:
                asked.add(pk)
                self.runner.call_on_process_finish(pk, partial(self.call_soon, self._on_child_ended, pk))

    def _on_child_ended(self, pk: int) -> None:
        """Go on, if the chain waits for that child now; in the middle of a step its end is kept for the next."""
        self.__dict__.setdefault('_ended', set()).add(pk)
        if self.state != ProcessState.WAITING:
            return
        for awaitable in [one for one in self._awaitables if one.pk == pk]:
            self._on_awaitable_finished(awaitable)  # goes on by itself where this was the last
            if self._awaitables:
                self.resume()
