"""The root of the command line and what all commands share."""

from __future__ import annotations

import warnings

import click

from .. import __version__
from .errors import Program
from .lazy import LazyCommands

_COMMANDS = {
    'setup': 'setup:setup',
    'setup-dft': 'dft:setup_dft',
    'potential': 'potential:potential',
    'dataset': 'dataset:dataset',
    'hops': 'hops:hops',
    'launch': 'launch:launch',
    'doctor': 'doctor:doctor',
    'daemon': 'daemon:daemon',
    'status': 'status:status',
    'show': 'show:show',
    'plot': 'plot:plot',
    'report': 'report:report',
    'usage': 'usage:usage',
    'clean': 'clean:clean',
}


class _Commands(LazyCommands, Program):
    package = str(__package__)
    commands_in = _COMMANDS


@click.group(cls=_Commands, context_settings={'help_option_names': ['-h', '--help'], 'max_content_width': 100})
@click.option('-p', '--profile', metavar='NAME', help='AiiDA profile; the default one if not given.')
@click.version_option(__version__, prog_name='aiida-litraj')
@click.pass_context
def main(ctx: click.Context, profile: str | None) -> None:
    """Judge and use machine-learned potentials: barriers, robustness, conductivities, melts, data sets.

    \b
    From nothing to a barrier:
      aiida-litraj setup --name sevennet --engine-python .venv-sevennet/bin/python
      aiida-litraj potential import --family sevennet --name 7net-0
      aiida-litraj launch barrier Li3PO4.cif --hop 0,6,0,0,0 --potential 7net-0
    """
    # Importing aiida makes its folder and warns of it; a new profile is reported by setup.
    warnings.filterwarnings('ignore', message='Creating AiiDA configuration folder')
    ctx.obj = profile
