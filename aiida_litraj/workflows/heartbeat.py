"""A chain that does nothing: that it ends shows that the workers of the daemon take tasks."""

from __future__ import annotations

from typing import Any

from aiida.engine import WorkChain


class HeartbeatWorkChain(WorkChain):
    """No inputs, no outputs, one step.

    It has no entry point, because nobody launches it by name; workers find it by its module.
    """

    @classmethod
    def define(cls, spec: Any) -> None:
        """Define the one step."""
        super().define(spec)
        spec.outline(cls.beat)

    def beat(self) -> None:
        """Do nothing."""
