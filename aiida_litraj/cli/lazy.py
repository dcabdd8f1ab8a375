"""Commands that are imported when they are asked for: aiida takes seconds."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import ClassVar

import click


class LazyCommands:
    """Mixin of a group whose commands stand in modules of their own, in the order in which a newcomer needs them."""

    package: ClassVar[str]
    commands_in: ClassVar[Mapping[str, str]]
    """Name of a command -> ``module:attribute`` in the package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands_in:
            return None
        module, _, name = self.commands_in[cmd_name].partition(':')
        command: click.Command = getattr(importlib.import_module(f'.{module}', self.package), name)
        return command
