"""What is said of a link, and the limits of the looking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal['ok', 'warning', 'broken', 'not checked']
OK: Status = 'ok'
WARNING: Status = 'warning'
BROKEN: Status = 'broken'
UNCHECKED: Status = 'not checked'


@dataclass(frozen=True)
class Answer:
    """What a check has found: a status, a sentence, what to type next if it is not ok, and figures for programs."""

    status: Status
    message: str
    remedy: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def ok(message: str, **facts: Any) -> Answer:
    """Return that a link holds."""
    return Answer(OK, message, None, facts)


def warning(message: str, remedy: str, **facts: Any) -> Answer:
    """Return that a link holds, and what is not as it should be."""
    return Answer(WARNING, message, remedy, facts)


def broken(message: str, remedy: str, **facts: Any) -> Answer:
    """Return who is at fault, and what mends it."""
    return Answer(BROKEN, message, remedy, facts)


def unchecked(message: str, remedy: str | None = None) -> Answer:
    """Return why a link was not looked at."""
    return Answer(UNCHECKED, message, remedy)


@dataclass(frozen=True)
class Finding:
    """What is said of one link of one computer or code.

    :ivar of: label of the computer or code; empty for a link of the profile.
    :ivar waits_for: the broken link without which this one cannot be looked at, such as ``login of cluster``.
    """

    link: str
    of: str
    answer: Answer
    waits_for: str | None = None
    seconds: float = 0.0

    @property
    def status(self) -> Status:
        return self.answer.status

    @property
    def name(self) -> str:
        """The link as a person calls it."""
        return f'{self.link} of {self.of}' if self.of else self.link


@dataclass(frozen=True)
class Limits:
    """Seconds after which a thing counts as one that does not answer.

    :ivar answer_s: a service, a computer or a command there.
    :ivar task_s: a process that computes nothing, from its submission to its end.
    :ivar job_s: a job of a minute, from its submission to its end: a queue may be long.
    """

    answer_s: float = 20.0
    task_s: float = 30.0
    job_s: float = 300.0
