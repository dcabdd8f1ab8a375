"""``aiida-litraj launch robustness``, and what ``show``, ``plot`` and ``status`` say of a grid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import print_pairs, print_table
from .errors import refusals
from .launching import launch_options, packing_option, require_caching, run_or_submit
from .options import parse_overrides, set_override
from .potentials import choose_potentials, labels_of

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

ROBUSTNESS = 'litraj.robustness'
TITLE = 'Robustness grid'


@click.command(short_help='Where potentials survive: a grid of temperatures and pressures.')
@click.argument('structure', required=False)
@click.option(
    '--potential', 'potentials', required=True, multiple=True, metavar='NAME',
    help='Label, pk or uuid of an imported potential. Repeatable: they are compared on the same start.',
)  # fmt: skip
@click.option('--protocol', metavar='NAME', help='lips25-2025 or quick.  [default: lips25-2025]')
@click.option('--composition', metavar='FORMULA', help='Of the random start, such as Li3PS4.')
@click.option('--atoms', type=int, metavar='N', help='Of the random start, a whole number of formula units.')
@click.option('--density', type=float, metavar='G/CM3', help='Of the random start.')
@click.option('--temperatures', metavar='K,K,...', help='Of the grid, such as 1000,4000,16000.')
@click.option('--pressures', metavar='PA,PA,...', help='Of the grid, such as 1e6,1e9,1e12.')
@click.option('--repeats', type=int, metavar='N', help='Of each cell of the grid.')
@click.option('--duration', type=float, metavar='PS', help='Of each anneal.')
@click.option('--seed', type=int, metavar='N', help='Of the anneals; that of the start is packing.seed.')
@click.option('--code', metavar='NAME', help='Code to run.  [default: the one with the family of each potential]')
@packing_option
@launch_options
def robustness(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Anneal a structure with each potential at each temperature and pressure, and say which replicas survive.

    The start is packed at random from hard spheres, or is STRUCTURE, a CIF, POSCAR or extended xyz file or a node; it
    is relaxed with each potential. A cell of the grid is green if all its repeats reach the end, pale if some do, white
    if none; its number is the share of frames with two atoms within 1 Ang, a dash where no frame was reached.

    \b
    Examples:
      aiida-litraj launch robustness --potential 7net-0 --protocol quick
      aiida-litraj launch robustness --potential 7net-0 --potential 7net-l3i5 --daemon
      aiida-litraj launch robustness --potential 7net-0 --max-jobs 8 --walltime 24h --daemon
      aiida-litraj launch robustness Li7P3S11.cif --potential 7net-0 --temperatures 1000,2000 --pressures 1e9
      aiida-litraj launch robustness --potential 7net-0 --override dynamics.timestep_fs=0.5
    """
    overrides = collect_overrides(request)
    if cache and daemon:
        require_caching('litraj.md')
    with refusals():
        builder = prepare(request, overrides, cache)
    if not as_json:
        click.echo(plan_text(builder), err=True)
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def collect_overrides(request: dict[str, Any]) -> dict[str, Any]:
    """Return all that differs from the protocol, nested as in the protocol.

    :raises click.UsageError: if a list does not parse, or a random start is described beside a structure.
    """
    overrides = parse_overrides(request['overrides'])
    packing = {
        'composition': request['composition'],
        'n_atoms': request['atoms'],
        'density_g_per_cm3': request['density'],
    }
    given = [name for name, value in packing.items() if value is not None]
    if request['structure'] is not None and given:
        raise click.UsageError(
            f'the start is {request["structure"]}, but {given[0]} describes a random one: give one or the other'
        )
    grid = {
        'temperatures_k': _numbers('--temperatures', request['temperatures']),
        'pressures_pa': _numbers('--pressures', request['pressures']),
        'repeats': request['repeats'],
        'duration_ps': request['duration'],
        'seed': request['seed'],
    }
    for section, values in (('packing', packing), ('grid', grid)):
        for name, value in values.items():
            if value is not None:
                set_override(overrides, [section, name], value, f'{section}.{name} {value}')
    return overrides


def _numbers(option: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(',') if part.strip()]
    except ValueError as error:
        raise click.UsageError(
            f'{option} {text!r} does not parse: write numbers with commas, like 1000,4000'
        ) from error


def prepare(request: dict[str, Any], overrides: dict[str, Any], cache: bool | None = None) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    from .structures import load_structure

    potentials, jobs, _ = choose_potentials(request['potentials'], request, cache)
    structure = None if request['structure'] is None else load_structure(request['structure'])
    return WorkflowFactory(ROBUSTNESS).get_builder_from_protocol(
        potentials=potentials, structure=structure, protocol=request['protocol'], overrides=overrides, jobs=jobs
    )


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    grid, number = builder.grid, len(builder.potentials)
    cells = len(grid['temperatures_k']) * len(grid['pressures_pa'])
    start = (
        f'{counted(builder.packing["n_atoms"], "atom")} of {builder.packing["composition"]} at random'
        if 'packing' in builder
        else f'{builder.structure.get_formula()} ({counted(len(builder.structure.sites), "atom")})'
    )
    return (
        f'{start}; {counted(len(grid["temperatures_k"]), "temperature")} x '
        f'{counted(len(grid["pressures_pa"]), "pressure")} x '
        f'{counted(grid["repeats"], "repeat")} = {counted(cells * grid["repeats"], "replica")} of '
        f'{grid["duration_ps"]:g} ps for {counted(number, "potential")}, protocol {grid.label}'
    )


def robustness_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the grids of a chain as ``--json`` prints them, by potential, or ``None`` if it has none."""
    from .processes import jobs_of

    if 'grids' not in chain.outputs:
        return None
    jobs = jobs_of(chain)
    grids = {name: node.get_dict() for name, node in chain.outputs.grids.items()}
    some = next(iter(grids.values()))
    start = chain.outputs.start if 'start' in chain.outputs else chain.inputs.structure
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        'temperatures_k': some['temperatures_k'],
        'pressures_pa': some['pressures_pa'],
        'repeats': some['repeats'],
        'duration_ps': some['duration_ps'],
        'summary': {name: _summary(grid) for name, grid in grids.items()},
        'potentials': labels_of({name: chain.inputs.potentials[name]['potential'].label for name in grids}),
        'grids': grids,
        'formula': start.get_formula('hill_compact'),
        'structure_uuid': start.uuid,
        'random_start': 'start' in chain.outputs,
        'protocol': chain.inputs.grid.label or None,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
    }


def _summary(grid: dict[str, Any]) -> dict[str, int]:
    """Return the numbers of cells and replicas of a grid."""
    names = ('n_green', 'n_pale', 'n_white', 'n_open', 'n_survived', 'n_replicas')
    return {**{name: grid[name] for name in names}, 'n_unfinished': sum(c['n_unfinished'] for c in grid['cells'])}


def robustness_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    parts = [f'{result["potentials"][name]}: {_survivors(one)}' for name, one in result['summary'].items()]
    return f'Replicas that survived: {", ".join(parts)}'


def _survivors(counts: dict[str, int]) -> str:
    """Return how many replicas survived; those whose end nobody knows have not died."""
    unfinished, wanted = counts['n_unfinished'], counts['n_replicas']
    if unfinished == wanted:
        return 'not finished'
    return f'{counts["n_survived"]} of {wanted}{f" ({unfinished} not finished)" if unfinished else ""}'


def print_robustness(result: dict[str, Any]) -> None:
    """Print the grid of each potential: survivors of each cell, and its share of frames with a contact."""
    print_pairs(
        [
            ('start', f'{result["formula"]}{", at random" if result["random_start"] else ""}'),
            ('anneals', f'{result["duration_ps"]:g} ps, {counted(result["repeats"], "repeat")}'),
            ('protocol', result['protocol']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    for name, grid in result['grids'].items():
        cells = {(cell['temperature_k'], cell['pressure_pa']): cell for cell in grid['cells']}
        rows = [
            (f'{pressure:.0e}', *(_cell(cells.get((temperature, pressure))) for temperature in grid['temperatures_k']))
            for pressure in reversed(grid['pressures_pa'])
        ]
        click.echo(f'{result["potentials"][name]}: replicas that survived: {_survivors(result["summary"][name])}')
        print_table(None, ('>Pa \\ K', *(f'>{temperature:g}' for temperature in grid['temperatures_k'])), rows)
    note = 'survivors of repeats, and frames with a contact in %; – where no frame was reached'
    unfinished = any(one['n_unfinished'] for one in result['summary'].values())
    click.echo(f'{note}; open: not finished' if unfinished else note)


def _cell(cell: dict[str, Any] | None) -> str:
    """Return survivors and number of a cell, and how many of its repeats are open."""
    if cell is None:
        return ''
    unfinished = cell['n_unfinished']
    if unfinished == cell['n_repeats']:
        return f'open {cell["text"]}'.strip()
    marks = f' {unfinished} open' if unfinished else ''
    return f'{cell["n_survived"]}/{cell["n_repeats"]}{marks} {cell["text"]}'.strip()


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw the grids of a chain side by side into a file and return its path.

    :raises Refusal: if the chain has no grid yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..calculations.functions.analyse_robustness import grid_from
    from ..report.captions import formula
    from ..report.energy_profile import Caption
    from ..report.robustness import draw_robustness
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    grids = {result['potentials'][name]: grid_from(content) for name, content in result['grids'].items()}
    some = next(iter(result['grids'].values()))
    node = chain.outputs.start if result['random_start'] else chain.inputs.structure
    symbols = [node.get_kind(site.kind_name).symbol for site in node.sites]
    start = 'random hard spheres' if result['random_start'] else 'given start'
    details = (
        f'{counted(some["n_atoms"], "atom")}, {start}, relaxed · {result["repeats"]} × {result["duration_ps"]:g} ps · '
        f'{result["protocol"]}'
    )
    n_open = sum(grid['n_open'] for grid in result['grids'].values())
    warning = f'{counted(n_open, "cell")} {"is" if n_open == 1 else "are"} not finished' if n_open else ''
    caption = Caption(f'Robustness on {formula(symbols)}', details, warning)
    return save_figure(draw_robustness(grids, caption), output)
