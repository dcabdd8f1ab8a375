"""``aiida-litraj launch melt-quench``, and what ``show``, ``plot`` and ``status`` say of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import print_pairs, print_table
from .errors import refusals
from .launching import job_options, launch_options, require_caching, run_or_submit
from .options import parse_overrides, set_override

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

MELT_QUENCH = 'litraj.melt_quench'
TITLE = 'Melt-quench'
SCHEDULE = {
    'melt_temperature': 'melt_temperature_k', 'end_temperature': 'end_temperature_k', 'melt': 'melt_ps',
    'quench': 'quench_ps', 'hold': 'hold_ps', 'pressure': 'pressure_gpa', 'seed': 'seed', 'snapshots': 'n_snapshots',
}  # fmt: skip
"""Options of the command -> numbers of the schedule."""


@click.command(name='melt-quench', short_help='Melt a structure, quench it, and look at each stage.')
@click.argument('structure')
@click.option('--potential', required=True, metavar='NAME', help='Label, pk or uuid of an imported potential.')
@click.option('--protocol', metavar='NAME', help='balanced, slow or quick.  [default: balanced]')
@click.option('--melt-temperature', type=float, metavar='K', help='Of the melt.  [default: 1500]')
@click.option('--end-temperature', type=float, metavar='K', help='Of the glass.  [default: 300]')
@click.option('--melt', type=float, metavar='PS', help='Time at the first temperature.  [default: 20]')
@click.option('--quench', type=float, metavar='PS', help='Time of the ramp.  [default: 120]')
@click.option('--hold', type=float, metavar='PS', help='Time at the last temperature.  [default: 20]')
@click.option('--pressure', type=float, metavar='GPA', help='All the way.  [default: 0.0001]')
@click.option('--snapshots', type=int, metavar='N', help='Configurations to keep.  [default: 100]')
@click.option('--seed', type=int, metavar='N', help='Of velocities and noise.  [default: 0]')
@click.option('--code', metavar='NAME', help='Code to run.  [default: the one with the family of the potential]')
@launch_options
def melt_quench(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Melt STRUCTURE, a CIF, POSCAR or extended xyz file or a node, at constant pressure, and quench it.

    Of each stage: density, radial distributions, coordination, and how much phosphorus is in PS4, P2S7 and P2S6.
    Snapshots along the way are one node of configurations, to be labelled by a better method.

    \b
    Examples:
      aiida-litraj launch melt-quench Li7P3S11.cif --potential 7net-0 --daemon
      aiida-litraj launch melt-quench Li7P3S11.cif --potential 7net-0 --protocol quick
      aiida-litraj launch melt-quench Li3PS4.cif --potential 7net-0 --melt-temperature 1200 --quench 900
    """
    overrides = parse_overrides(request['overrides'])
    for option, name in SCHEDULE.items():
        if request[option] is not None:
            origin = f'--{option.replace("_", "-")} {request[option]:g}'
            set_override(overrides, ['schedule', name], request[option], origin)
    if cache and daemon:
        require_caching('litraj.md')
    with refusals():
        builder = prepare(request, overrides)
    if not as_json:
        click.echo(plan_text(builder), err=True)
    if cache is False:
        builder.md.md.metadata.disable_cache = True
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def prepare(request: dict[str, Any], overrides: dict[str, Any]) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    from ..codes.choose import choose_code, computer_of
    from ..codes.potentials import load_potential
    from .structures import load_structure

    potential = load_potential(request['potential'])
    code = choose_code(request['code'], potential.family)
    return WorkflowFactory(MELT_QUENCH).get_builder_from_protocol(
        code=code,
        potential=potential,
        structure=load_structure(request['structure']),
        protocol=request['protocol'],
        overrides=overrides,
        options=job_options(code, request),
        computer=computer_of(code),
    )


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    plan = builder.schedule.get_dict()
    return (
        f'{builder.structure.get_formula()} ({counted(len(builder.structure.sites), "atom")}): '
        f'{plan["melt_ps"]:g} ps at {plan["melt_temperature_k"]:g} K, {plan["quench_ps"]:g} ps down to '
        f'{plan["end_temperature_k"]:g} K, {plan["hold_ps"]:g} ps there, '
        f'{plan["pressure_gpa"]:g} GPa, protocol {builder.schedule.label}'
    )


def melt_quench_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the stages of a chain as ``--json`` prints them, or ``None`` if it reached none."""
    from .processes import jobs_of

    if 'stages' not in chain.outputs or not chain.outputs.stages['stages']:
        return None
    jobs, potential = jobs_of(chain), chain.inputs.md.md.potential
    snapshots = chain.outputs.snapshots if 'snapshots' in chain.outputs else None
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        'warnings': [],  # which results of before there were any lack
        **chain.outputs.stages.get_dict(),
        'n_snapshots': 0 if snapshots is None else snapshots.n_frames,
        'snapshots_uuid': None if snapshots is None else snapshots.uuid,
        'trajectory_uuid': chain.outputs.trajectory.uuid,
        'structure': chain.inputs.structure.label,
        'structure_uuid': chain.inputs.structure.uuid,
        'schedule': chain.inputs.schedule.get_dict(),
        'protocol': chain.inputs.schedule.label or None,
        'potential': potential.label,
        'potential_sha256': potential.sha256,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
        'exit_message': chain.exit_message or None,
    }


def melt_quench_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    last = result['stages'][-1]
    density = '' if last['density_g_per_cm3'] is None else f', {last["density_g_per_cm3"]:.3f} g/cm³'
    return f'Stages reached: {", ".join(stage["name"] for stage in result["stages"])}{density} in the last'


def print_melt_quench(result: dict[str, Any]) -> None:
    """Print the stages of a melt-quench as a table."""
    print_pairs(
        [
            ('structure', ', '.join(filter(None, (result['formula'], result['structure'])))),
            ('potential', result['potential']),
            ('protocol', result['protocol']),
            ('atoms', result['n_atoms']),
            ('snapshots', result['n_snapshots']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    # Without phosphorus or sulfur there are no anions to count.
    motifs = ('PS4', 'P2S7', 'P2S6', 'other') if any(stage['motifs'] for stage in result['stages']) else ()
    pairs = list(result['stages'][0]['coordination'])
    rows = [
        (
            stage['name'], f'{stage["start_ps"]:g}-{stage["stop_ps"]:g}', _number(stage['temperature_k'], '.0f'),
            _number(stage['pressure_gpa'], '.2f'), _number(stage['density_g_per_cm3'], '.3f'),
            *(f'{stage["coordination"][pair]["mean"]:.2f}' for pair in pairs),
            *(f'{100.0 * stage["motif_shares"][name]:.0f}' if stage['motifs'] else None for name in motifs),
        )
        for stage in result['stages']
    ]  # fmt: skip
    names = (
        'stage',
        '>ps',
        '>K',
        '>GPa',
        '>g/cm³',
        *(f'>{pair}' for pair in pairs),
        *(f'>%{name}' for name in motifs),
    )
    print_table(None, names, rows)
    for warning in result['warnings']:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)


def _number(value: float | None, form: str) -> str | None:
    return None if value is None else format(value, form)


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw course and stages of a chain into a file and return its path.

    :raises Refusal: if the chain has no stages yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..analysis.melt_quench import Trace, density
    from ..calculations.functions.analyse_melt_quench import stages_from
    from ..contract.units import FEMTOSECONDS_OF_PS
    from ..report.captions import formula
    from ..report.energy_profile import Caption
    from ..report.melt_quench import draw_melt_quench
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    trajectory, outputs = chain.outputs.trajectory, chain.outputs
    series = trajectory.thermo
    trace = Trace(
        times_ps=series['time_fs'] / FEMTOSECONDS_OF_PS,
        temperatures_k=series['temperature_k'],
        target_k=series['target_temperature_k'],
        density_g_per_cm3=density(trajectory.symbols, series['volume_ang3']),
    )
    plan = result['schedule']
    details = (
        f'{result["potential"]} · {counted(result["n_atoms"], "atom")} · {plan["melt_ps"]:g} ps melt, '
        f'{plan["quench_ps"]:g} ps quench, {plan["hold_ps"]:g} ps hold at {plan["pressure_gpa"]:g} GPa · '
        f'{result["protocol"]}'
    )
    ended = f'ended early: {result["exit_message"]}' if result['exit_status'] else ''
    warning = ended or next(iter(result['warnings']), '')
    caption = Caption(f'Melt-quench of {formula(trajectory.symbols)}', details, warning)
    return save_figure(draw_melt_quench(trace, stages_from(result, outputs.distributions), caption), output)
