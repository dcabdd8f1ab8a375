"""``aiida-litraj hops``: the sites of the mobile ion and the hops between neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .console import emit_json, print_table
from .errors import refusals
from .options import json_option

if TYPE_CHECKING:
    from ase import Atoms


@click.command(short_help='The sites of a crystal and the hops between them.')
@click.argument('file')
@click.option('--mobile', default='Li', show_default=True, metavar='ELEMENT', help='Element that hops.')
@click.option(
    '--max-distance', type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True, metavar='ANG',
    help='Longest hop to list.',
)  # fmt: skip
@click.option('--all', 'everything', is_flag=True, help='Every hop, not one of each length.')
@json_option
def hops(file: str, mobile: str, max_distance: float, everything: bool, as_json: bool) -> None:
    """List the sites of the mobile ion in FILE and the hops between neighbours, as --hop of a launch takes them.

    Sites count from 0 after the symmetry of a CIF file has been applied, so their numbers are not those of its lines.
    Hops that symmetry maps on each other have one length and one barrier; so one of each length is shown, the way
    back not counted. Hops of one length can still differ: --all lists them all.

    \b
    Examples:
      aiida-litraj hops Li3PO4.cif
      aiida-litraj hops NaCl.cif --mobile Na --max-distance 6 --json
    """
    with refusals():
        from ..analysis.neighbours import kinds_of_hops, neighbour_hops
        from .structures import read_file

        atoms = read_file(file)
        kinds = kinds_of_hops(neighbour_hops(atoms, mobile, max_distance))
    if as_json:
        emit_json(_describe(atoms, mobile, kinds))
    else:
        _print(atoms, mobile, max_distance, kinds, everything, file)


def _describe(atoms: Atoms, mobile: str, kinds: list[Any]) -> dict[str, Any]:
    places = atoms.get_scaled_positions(wrap=False)
    return {
        'formula': atoms.get_chemical_formula(mode='hill'),
        'mobile_element': mobile,
        'sites': [
            {'site': index, 'fractional': [round(float(value), 6) for value in places[index]]}
            for index in range(len(atoms))
            if atoms.symbols[index] == mobile
        ],
        'hops': [
            {
                'hop': hop.text,
                'source': hop.source,
                'target': hop.target,
                'offset': list(hop.offset),
                'distance_ang': hop.distance_ang,
                'kind': number,
            }
            for number, kind in enumerate(kinds)
            for hop in kind
        ],
    }


def _print(atoms: Atoms, mobile: str, max_distance: float, kinds: list[Any], everything: bool, file: str) -> None:
    places = atoms.get_scaled_positions(wrap=False)
    rows = [
        (index, *(f'{value:.4f}' for value in places[index]))
        for index in range(len(atoms))
        if atoms.symbols[index] == mobile
    ]
    click.echo(f'{mobile} sites of {file}')
    print_table(None, ('>site', '>x', '>y', '>z'), rows)
    if not kinds:
        click.echo(f'No two of them are within {max_distance:g} Å: ask for more with --max-distance.')
        return
    shown = [(hop, len(kind)) for kind in kinds for hop in (kind if everything else kind[:1])]
    click.echo(f'Hops between neighbours{"" if everything else ", one of each length"}')
    print_table(
        None,
        ('--hop', '>length / Å', '>of this length'),
        [(hop.text, f'{hop.distance_ang:.3f}', count) for hop, count in shown],
    )
    click.echo(f'Next: aiida-litraj launch barrier {file} --hop {shown[0][0].text} --potential NAME')
