"""``aiida-litraj show``: the result of a chain."""

from __future__ import annotations

from typing import Any

import click

from .console import emit_json, print_pairs, print_table
from .errors import refusals
from .options import json_option, with_profile


@click.command(short_help='The result of a chain.')
@click.argument('pk')
@json_option
@with_profile
def show(pk: str, as_json: bool) -> None:
    """Show the result of the chain PK (or of the chain that node PK belongs to).

    \b
    Examples:
      aiida-litraj show 123
      aiida-litraj show 123 --json
    """
    with refusals():
        from .processes import finished_result, kind_of, load_chain

        chain = load_chain(pk)
        result = finished_result(chain)
    if as_json:
        emit_json(result)
    else:
        kind_of(chain).call('show', result)


def barrier_line(result: dict[str, Any]) -> str:
    """Return a barrier in one line."""
    return f'Barrier {result["barrier_ev"]:.3f} eV{"" if result["converged"] else " (not converged)"}'


def print_barrier(result: dict[str, Any]) -> None:
    """Print a barrier as a table and its warnings."""
    energies = result['profile_ev'] or []
    highest = max(range(len(energies)), key=energies.__getitem__) if energies else None
    print_pairs(
        [
            ('crystal', _crystal(result)),
            ('hop', _hop(result)),
            ('protocol', result.get('protocol')),
            ('potential', _potential(result)),
            ('barrier', _ev(result['barrier_ev'])),
            ('reverse barrier', _ev(result['reverse_barrier_ev'])),
            ('reaction energy', _ev(result['reaction_energy_ev'])),
            ('highest - lowest', _ev(result['range_ev'])),
            ('converged', 'yes' if result['converged'] else f'NO [{result["exit_status"]}]'),
            ('negative modes', result.get('negative_modes')),
            ('supercell', result.get('supercell')),
            ('atoms', result['natoms']),
            ('images', result['n_images']),
            ('model calls', _calls(result)),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    coordinate = result.get('distance_ang') or [None] * len(energies)
    rows = [
        (index, None if at is None else f'{at:.3f}', f'{energy:.4f}', '← saddle' if index == highest else '')
        for index, (at, energy) in enumerate(zip(coordinate, energies))
    ]
    print_table(None, ('>image', '>path / Å', '>energy / eV', ''), rows)
    for warning in result['warnings'] or []:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)


def _crystal(result: dict[str, Any]) -> str | None:
    """Return formula and name of the crystal."""
    parts = [result.get('formula'), result.get('structure')]
    return ', '.join(dict.fromkeys(part for part in parts if part)) or None


def _hop(result: dict[str, Any]) -> str | None:
    """Return element, sites, length and mechanism of the hop."""
    from ..report.captions import hop_text

    if 'hop_distance_ang' not in result:
        return None
    way = result['hop_distance_ang']
    what = f'{result.get("mobile_element") or ""} {hop_text(result["hop"] or {})}'.strip()
    parts = [what, None if way is None else f'{way:.3f} Å', result.get('mechanism')]
    return ', '.join(part for part in parts if part) or None


def _potential(result: dict[str, Any]) -> str:
    name = result.get('potential')
    return f'{name}, sha256 {result["potential_sha256"]}' if name else f'sha256 {result["potential_sha256"]}'


def _calls(result: dict[str, Any]) -> str:
    return (
        f'{result["model_calls"]}{", by an equal job of before (from the cache)" if result.get("from_cache") else ""}'
    )


def _ev(value: float | None) -> str | None:
    return None if value is None else f'{value:.4f} eV'
