"""What ``show``, ``plot`` and ``status`` say of the convergence of labels with cutoff and k-points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import print_pairs, print_table

if TYPE_CHECKING:
    from aiida.orm import WorkChainNode

SERIES = {'cutoff': 'Cutoff', 'kpoints': 'k-points'}


def convergence_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the table of a chain as ``--json`` prints it, or ``None`` if it has none."""
    if 'table' not in chain.outputs:
        return None
    sample = chain.outputs.sample
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        **chain.outputs.table.get_dict(),
        'sample': sample.entry_ids,
        'n_frames': sample.n_frames,
        'level': chain.inputs.level.get_dict(),
        'protocol': chain.inputs.level.label or None,
        'code': chain.inputs.code.full_label,
        'backend': chain.inputs.backend.value,
        'exit_status': chain.exit_status,
    }


def convergence_line(result: dict[str, Any]) -> str:
    """Return how far the level itself is from the finest of each series, in one line."""
    parts = [
        f'{SERIES[name].lower()} '
        + ('0, being it' if row['finest'] else f'{_number(row["rmse_force_mev_per_ang"], 1)} meV/Å')
        for name, rows in result['series'].items()
        for row in rows
        if row['own'] and row.get('n_frames')
    ]
    return f'Forces off the finest by {", ".join(parts)}' if parts else 'No setting could be compared'


def print_convergence(result: dict[str, Any]) -> None:
    """Print the differences to the finest setting, a table for each series."""
    print_pairs(
        [
            ('sample', counted(result['n_frames'], 'configuration')),
            ('code', result['code']),
            ('functional', result['level']['functional']),
            ('protocol', result['protocol']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    columns = (
        'setting', '>energy / meV/atom', '>its spread', '>force RMSE / meV/Å', '>largest', '>stress / GPa', '',
    )  # fmt: skip
    for name, rows in result['series'].items():
        print_table(f'{SERIES[name]}: differences to the finest', columns, [_row(name, row) for row in rows])
    told = {row['name']: row['reason'] for rows in result['series'].values() for row in rows if 'reason' in row}
    for name, reason in told.items():
        click.echo(f'{name}: {reason}')
    click.echo('Energies: mean over the sample; their spread over it is what differences of energies lose.')


def _row(series: str, row: dict[str, Any]) -> tuple[Any, ...]:
    if series == 'cutoff':
        setting = f'{row["cutoff_ev"]:g} eV'
    else:
        setting = row['kpoints'] if 'x' in row['kpoints'] else f'{row["kpoints"]} per Å'
        if row['mesh'] and 'x' not in row['kpoints']:
            setting += f' ({"x".join(str(n) for n in row["mesh"])})'
    mark = ' '.join(word for word, yes in (('finest', row['finest']), ('← the level', row['own'])) if yes)
    if not row['n_frames']:
        return (setting, 'no labels', '', '', '', '', mark)
    return (
        setting,
        _number(row['energy_mev_per_atom'], 2),
        _number(row['energy_spread_mev_per_atom'], 3),
        _number(row['rmse_force_mev_per_ang'], 2),
        _number(row['max_force_mev_per_ang'], 2),
        _number(row['max_stress_gpa'], 3),
        mark,
    )


def _number(value: float | None, digits: int) -> str | None:
    return None if value is None else f'{value:.{digits}f}'


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw the differences to the finest setting into a file and return its path.

    :raises Refusal: if the chain has no table yet, or none at all.
    :raises ValueError: if the format of the picture is not known, or no two settings could be compared.
    """
    from ..report.convergence import draw_convergence
    from ..report.energy_profile import Caption
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    level = result['level']
    details = f'{result["code"]} · {level["functional"]} · {counted(result["n_frames"], "configuration")}'
    return save_figure(draw_convergence(result['series'], Caption('Convergence of labels', details)), output)
