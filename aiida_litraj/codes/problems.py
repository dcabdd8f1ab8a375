"""The one exception of setting up and choosing codes."""

from __future__ import annotations


class SetupProblem(Exception):
    """Something in the way of running the engine: the message names it, ``remedy`` says what to do about it."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(message if remedy is None else f'{message}. {remedy}')
