"""``aiida-litraj potential``: import, list, show and export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .console import console, emit_json, print_pairs, print_table
from .errors import refusals
from .options import json_option, with_profile

if TYPE_CHECKING:
    from ..data import PotentialData


WITH_ASE = {
    'sevennet': 'from sevenn.calculator import SevenNetCalculator; atoms.calc = SevenNetCalculator({file!r})',
    'mace': "from mace.calculators import MACECalculator; atoms.calc = MACECalculator({file!r}, device='cpu')",
    'graph_pes': ('from graph_pes.models import load_model; atoms.calc = load_model({file!r}).ase_calculator()'),
    'chgnet': (
        'from chgnet.model import CHGNet, CHGNetCalculator; atoms.calc = CHGNetCalculator(CHGNet.from_file({file!r}))'
    ),
}
"""How its own package computes with a file of the family, in an environment that has it."""
SUFFIXES = {'sevennet': '.pth', 'mace': '.model', 'graph_pes': '.pt', 'chgnet': '.tar'}


@click.group(short_help='Import, list, show and export potentials.')
def potential() -> None:
    """Import potentials, list them, show one, write one to a file.

    \b
    Examples:
      aiida-litraj potential import --family sevennet --name 7net-0
      aiida-litraj potential list
      aiida-litraj potential show 7net-0
      aiida-litraj potential lineage mace-seed_0-1a2b3c4d
      aiida-litraj potential export mace-seed_0-1a2b3c4d
    """


@potential.command('import')
@click.option('--family', required=True, metavar='FAMILY', help='sevennet, mace, chgnet, toy or a family of a plugin.')
@click.option('--name', metavar='NAME', help='A potential that the package of the family knows by this name.')
@click.option(
    '--file', type=click.Path(dir_okay=False, path_type=Path), help='A checkpoint; it is stored with the potential.'
)
@click.option('--sha256', metavar='HEX', help='Checksum it must have.')
@click.option('--code', 'code_name', metavar='NAME', help='Code whose engine loads it.  [default: the one that fits]')
@click.option('--label', metavar='TEXT', help='Name for --potential.  [default: its name, or that of its file]')
@click.option('--licence', metavar='TEXT', help='Licence of its numbers; known for packaged ones.')
@click.option('--citation', metavar='TEXT', help='What to cite; known for packaged ones.')
@click.option('--option', 'options', metavar='KEY=VALUE', multiple=True, help='Option for the family. Repeatable.')
@json_option
@with_profile
def import_(
    family: str,
    name: str | None,
    file: Path | None,
    sha256: str | None,
    code_name: str | None,
    label: str | None,
    licence: str | None,
    citation: str | None,
    options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Import a potential that the engine of a code can load; importing it twice gives the same node.

    Elements, range and checksum are what the engine reports. This machine never opens the checkpoint.

    \b
    Examples:
      aiida-litraj potential import --family sevennet --name 7net-0
      aiida-litraj potential import --family mace --file mace.model --licence MIT --label mace-li
      aiida-litraj potential import --family sevennet --name 7net-mf-0 --option modal=R2SCAN
    """
    if (name is None) == (file is None):
        raise click.UsageError(f'give either --name or --file, not {"neither" if name is None else "both"}')
    with refusals():
        from ..codes.choose import choose_code
        from ..codes.potentials import Request, import_potential

        request = Request(family, name, file, sha256, label, licence, citation, _parse_options(options))
        code = choose_code(code_name, family)
        screen = console(stderr=True)
        if screen.is_terminal:
            with screen.status(f'The engine of {code.label} loads {name or file}, to see its checksum ...'):
                node, created = import_potential(request, code)
        else:
            if not as_json:
                click.echo(f'The engine of {code.label} loads {name or file} ...', err=True)
            node, created = import_potential(request, code)
    if as_json:
        emit_json({**describe(node), 'created': created})
        return
    click.echo(f'{"Imported" if created else "Already imported:"} {node.label} (pk {node.pk})')
    _print_node(node)
    if node.family == 'toy':
        click.echo('\nAn analytic potential, for tests: it has nothing to say of a real crystal.')
    else:
        click.echo('\nNext, a hop: aiida-litraj hops STRUCTURE')
        click.echo(f'Then: aiida-litraj launch barrier STRUCTURE --hop HOP --potential {node.label}')
        click.echo(f'Or, how far it is from labels: aiida-litraj launch evaluate LABELLED.xyz --potential {node.label}')
        click.echo(f'Or, where it survives: aiida-litraj launch robustness --potential {node.label} --protocol quick')


@potential.command('list')
@json_option
@with_profile
def list_(as_json: bool) -> None:
    """List the potentials.

    \b
    Example:
      aiida-litraj potential list
    """
    with refusals():
        from ..codes.potentials import list_potentials

        nodes = list_potentials()
    if as_json:
        emit_json([describe(node) for node in nodes])
        return
    if not nodes:
        click.echo('No potentials yet. Import one: aiida-litraj potential import --family sevennet --name 7net-0')
        return
    rows = [
        (
            node.label,
            node.family,
            node.name or node.filename,
            (node.sha256 or '')[:12],
            'any' if node.elements is None else len(node.elements),
            node.licence,
            node.pk,
        )
        for node in nodes
    ]
    print_table(None, ('label', 'family', 'source', 'sha256', '>elements', 'licence', '>pk'), rows)


@potential.command('show')
@click.argument('name')
@json_option
@with_profile
def show(name: str, as_json: bool) -> None:
    """Show the potential NAME (label, pk or uuid).

    \b
    Example:
      aiida-litraj potential show 7net-0
    """
    with refusals():
        from ..codes.potentials import load_potential

        node = load_potential(name)
    if as_json:
        emit_json(describe(node))
    else:
        _print_node(node)


@potential.command('lineage')
@click.argument('name')
@json_option
@with_profile
def lineage(name: str, as_json: bool) -> None:
    """Show what the potential NAME (label, pk or uuid) has learnt from, and what its parents have.

    \b
    Examples:
      aiida-litraj potential lineage mace-seed_0-1a2b3c4d
      aiida-litraj potential lineage mace-seed_0-1a2b3c4d --json
    """
    with refusals():
        from .train import lineage_of, print_lineage

        found = lineage_of(name)
    if as_json:
        emit_json(found)
    else:
        print_lineage(found)


@potential.command('export')
@click.argument('name')
@click.option(
    '-o',
    '--output',
    metavar='FILE',
    type=click.Path(dir_okay=False, path_type=Path),
    help='File to write.  [default: its label, with the suffix of its family]',
)
@json_option
@with_profile
def export(name: str, output: Path | None, as_json: bool) -> None:
    """Write the checkpoint of the potential NAME (label, pk or uuid) to a file, for ASE, LAMMPS or a colleague.

    \b
    Examples:
      aiida-litraj potential export sevennet-seed_0-1a2b3c4d
      aiida-litraj potential export mace-seed_0-1a2b3c4d -o lips.model
    """
    with refusals():
        from ..codes.potentials import load_potential

        node = load_potential(name)
        file = write_checkpoint(node, output or Path(_file_name(node)))
    how = WITH_ASE.get(node.family, '').format(file=str(file))
    if as_json:
        emit_json({**describe(node), 'file': str(file), 'ase': how or None})
        return
    click.echo(f'Wrote {file}, sha256 {node.sha256}')
    if how:
        click.echo(f'With ASE, where the package of {node.family} is: {how}')


def _file_name(node: PotentialData) -> str:
    import re

    return re.sub(r'[^A-Za-z0-9._-]+', '_', node.label) + SUFFIXES.get(node.family, '')


def write_checkpoint(node: PotentialData, file: Path) -> Path:
    """Write the checkpoint of a potential, whole or not at all, and return its path.

    :raises ValueError: if it has none, or another file is there.
    """
    import os
    import shutil

    from ..data.potential import checksum

    if node.filename is None:
        raise ValueError(
            f'potential {node.label!r} has no file: the package of {node.family} carries it as {node.name}'
        )
    if file.exists():
        if checksum(file) == node.sha256:
            return file
        raise ValueError(f'--output {file} is there, with another content; take another name')
    if not file.parent.is_dir():
        raise ValueError(f'--output {file}: there is no folder {file.parent}; make it')
    part = file.with_name(f'{file.name}.part')
    with node.open() as source, part.open('wb') as target:
        shutil.copyfileobj(source, target)
    if checksum(part) != node.sha256:
        part.unlink()
        raise ValueError(f'potential {node.label!r}: what the profile has is not of its sha256; see verdi storage info')
    os.replace(part, file)
    return file


def describe(node: PotentialData) -> dict[str, Any]:
    """Return a potential as the keys and values of ``--json``."""
    keys = ('family', 'name', 'filename', 'sha256', 'elements', 'cutoff_ang', 'licence', 'citation', 'options')
    return {'label': node.label, 'pk': node.pk, 'uuid': node.uuid, **{key: getattr(node, key) for key in keys}}


def _print_node(node: PotentialData) -> None:
    elements = 'any (the engine cannot tell)' if node.elements is None else ' '.join(node.elements)
    print_pairs(
        [
            ('label', node.label),
            ('pk', node.pk),
            ('uuid', node.uuid),
            ('family', node.family),
            ('source', f'packaged: {node.name}' if node.name else f'file: {node.filename}'),
            ('options', ', '.join(f'{key}={value}' for key, value in node.options.items()) or None),
            ('sha256', node.sha256),
            ('range', None if node.cutoff_ang is None else f'{node.cutoff_ang:g} Å'),
            ('licence', node.licence or 'not known'),
            ('citation', node.citation or 'not known'),
            ('elements', elements),
        ]
    )


def _parse_options(texts: tuple[str, ...]) -> dict[str, str | int | float | bool]:
    """Return options of a family from ``key=value`` texts."""
    import yaml

    parsed: dict[str, str | int | float | bool] = {}
    for text in texts:
        key, equals, raw = text.partition('=')
        value = yaml.safe_load(raw) if equals else None
        if not key or not isinstance(value, str | int | float | bool):
            raise click.UsageError(f'--option {text!r} does not parse: write key=value, for example modal=PBE')
        parsed[key] = value
    return parsed
