"""Failures that stay with whom they concern, and a potential that answers with one instead of raising."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..contract.errors import BY_LABEL, LitrajError
from .models.interface import Configuration, DeviceOutOfMemory, Evaluation, Evaluator

_LONGEST = 500
"""Characters of an exception's message that are passed on: some of torch's fill pages."""


@dataclass(frozen=True)
class Failure:
    """Why there is no value: ``label`` in the table of errors, ``reason`` for a person."""

    label: str
    reason: str


def failure(label: str, **fields: object) -> Failure:
    """Return a line of the table of errors with its fields filled in."""
    return Failure(label, BY_LABEL[label].message.format(**fields))


def told(error: Exception) -> str:
    """Return an exception as one can look for it: class, message, and the place in the code."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f'{type(error).__name__}: {str(error).strip()[:_LONGEST]} ({Path(last.filename).name}:{last.lineno})'


class Tolerant:
    """A potential that answers with a :class:`Failure` to what it raises on, so that only one path pays for it.

    Where it also raises on what it has answered before, it is not the configuration: the device or the process is
    broken, and every other path would be told so one by one. Then the exception is raised.
    """

    def __init__(self, evaluator: Evaluator, device: str | None = None) -> None:
        """``device``: what it is called before people, where this process has another name for it."""
        self._evaluator = evaluator
        self._device = device or evaluator.device
        self._answered: Configuration | None = None

    def evaluate(self, configurations: Sequence[Configuration]) -> list[Evaluation | Failure]:
        """Return an evaluation or a failure for each configuration.

        :raises DeviceOutOfMemory: if the batch is too large for the device; of a single one, its answer is the failure.
        """
        try:
            found = self._evaluator.evaluate(configurations)
        except DeviceOutOfMemory:
            if len(configurations) > 1:
                raise
            return [failure('ERROR_DEVICE_MEMORY', device=self._device, atoms=len(configurations[0]))]
        except LitrajError as error:
            if len(configurations) == 1:
                return [Failure(error.code.label, str(error))]
        except Exception as error:
            if len(configurations) == 1:
                if self._broken():
                    raise
                return [failure('ERROR_EVALUATION', reason=told(error))]
        else:
            if found:
                self._answered = configurations[-1]
            return list(found)
        # which of them it was
        return [answer for configuration in configurations for answer in self.evaluate([configuration])]

    def _broken(self) -> bool:
        """Return whether the potential raises on what it has answered before."""
        try:
            self._evaluator.evaluate([] if self._answered is None else [self._answered])
        except Exception:
            return True
        return False
