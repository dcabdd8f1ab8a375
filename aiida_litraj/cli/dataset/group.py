"""The commands of ``aiida-litraj dataset``, each imported when it is asked for."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    'fetch': 'fetch:fetch_',
    'import': 'import_:import_',
    'list': 'show:list_',
    'show': 'show:show',
    'verify': 'verify:verify_',
    'query': 'query:query_',
    'select': 'query:select_',
    'export': 'export:export_',
    'delete': 'delete:delete_',
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(':')
        command: click.Command = getattr(importlib.import_module(f'.{module}', __package__), name)
        return command


@click.group(cls=_LazyGroup, short_help='Fetch, import, query, select and export data sets.')
def dataset() -> None:
    """Data sets whose every entry has its provenance.

    \b
    From nothing to 25 entries to train on:
      aiida-litraj dataset fetch MPLiTrj_subsample
      aiida-litraj dataset import MPLiTrj_subsample.zip
      aiida-litraj dataset select MPLiTrj_subsample -n 25 --strategy stratified
    """
