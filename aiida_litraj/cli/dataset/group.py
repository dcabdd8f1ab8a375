"""The commands of ``aiida-litraj dataset``, each imported when it is asked for."""

from __future__ import annotations

import click

from ..lazy import LazyCommands

_COMMANDS = {
    'fetch': 'fetch:fetch_',
    'import': 'import_:import_',
    'list': 'show:list_',
    'show': 'show:show',
    'verify': 'verify:verify_',
    'query': 'query:query_',
    'select': 'query:select_',
    'export': 'export:export_',
    'seen-by': 'seen_by:seen_by_',
    'delete': 'delete:delete_',
}


class _Dataset(LazyCommands, click.Group):
    package = str(__package__)
    commands_in = _COMMANDS


@click.group(cls=_Dataset, short_help='Fetch, import, query, select and export data sets.')
def dataset() -> None:
    """Data sets whose every entry has its provenance.

    \b
    From nothing to 25 entries to train on:
      aiida-litraj dataset fetch MPLiTrj_subsample
      aiida-litraj dataset import MPLiTrj_subsample.zip
      aiida-litraj dataset select MPLiTrj_subsample -n 25 --strategy stratified
    """
