"""``aiida-litraj launch conductivity``, and what ``show``, ``plot`` and ``status`` say of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import print_pairs, print_table
from .errors import refusals
from .launching import job_options, launch_options, packing_of, packing_option, require_caching, run_or_submit
from .options import parse_overrides, set_override

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

CONDUCTIVITY = 'litraj.conductivity'
KEYS = (
    'sigma_298_s_per_cm', 'sigma_298_low', 'sigma_298_high', 'activation_energy_ev', 'warnings',
)  # fmt: skip
"""What ``--json`` has at least, and first."""
TITLE = 'Conductivity'
_UNITS = {'s_per_cm': 'S/cm', 'cm2_per_s': 'cm²/s'}


class Numbers(click.ParamType):
    """Numbers with commas between."""

    name = 'numbers'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(float(part) for part in str(value).split(','))
        except ValueError:
            self.fail(f'{value!r} are not numbers with commas between, for example 600,800,1000', param, ctx)


@click.command(short_help='The ionic conductivity of a crystal at room temperature.')
@click.argument('structure')
@click.option('--potential', required=True, metavar='NAME', help='Label, pk or uuid of an imported potential.')
@click.option('--protocol', metavar='NAME', help='balanced, quick, lips25-2025.  [default: balanced]')
@click.option('--temperatures', type=Numbers(), metavar='T1,T2,...', help='In K.  [default: as the protocol says]')
@click.option('--repeats', type=click.IntRange(min=1), metavar='N', help='Runs at each temperature.  [default: 3]')
@click.option('--duration', type=float, metavar='PS', help='Of each run.  [default: as the protocol says]')
@click.option('--supercell-min', type=float, metavar='ANG', help='Least distance of an atom to its periodic image.')
@click.option('--mobile', metavar='ELEMENT', help='Element that carries the charge.  [default: Li]')
@click.option('--code', metavar='NAME', help='Code to run.  [default: the one with the family of the potential]')
@packing_option
@launch_options
def conductivity(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Compute the ionic conductivity at 298 K of STRUCTURE, a CIF, POSCAR or extended xyz file or a node.

    The repeats bring a supercell to each temperature at constant pressure, all in one job; from where they end they go
    on in the mean cell of their temperature, again in one job. From the mean-square displacements of the mobile ions
    against the framework follow diffusivities, Haven ratio and conductivity, and along an Arrhenius line the
    conductivity at 298 K. Every number has a 68 % interval; what cannot be said is left empty, with a warning.

    \b
    Examples:
      aiida-litraj launch conductivity Li7P3S11.cif --potential 7net-0 --daemon
      aiida-litraj launch conductivity Li7P3S11.cif --potential 7net-0 --max-jobs 4 --walltime 24h --daemon
      aiida-litraj launch conductivity Li7P3S11.cif --potential 7net-0 --protocol quick --temperatures 800,1000,1200
      aiida-litraj launch conductivity Li3PS4.cif --potential 7net-0 --override nvt.parameters.timestep_fs=1.0
    """
    overrides = collect_overrides(request)
    if cache and daemon:
        require_caching('litraj.md')
    with refusals():
        builder = prepare(request, overrides)
    if not as_json:
        click.echo(plan_text(builder), err=True)
    if cache is False:
        for stage in (builder.npt, builder.nvt):
            stage.md.metadata.disable_cache = True  # goes with the job, also to the daemon
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def collect_overrides(request: dict[str, Any]) -> dict[str, Any]:
    """Return all that differs from the protocol, nested as in the protocol."""
    overrides = parse_overrides(request['overrides'])
    options: dict[str, tuple[list[str], Any]] = {
        '--temperatures': (['temperatures_k'], request['temperatures'] and list(request['temperatures'])),
        '--repeats': (['repeats'], request['repeats']),
        '--duration': (['production', 'duration_ps'], request['duration']),
        '--supercell-min': (['min_image_distance_ang'], request['supercell_min']),
        '--mobile': (['mobile_element'], request['mobile']),
    }
    for name, (keys, value) in options.items():
        if value is not None:
            set_override(overrides, ['settings', *keys], value, f'{name} {value}')
    return overrides


def prepare(request: dict[str, Any], overrides: dict[str, Any]) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    from ..codes.choose import choose_code, computer_of
    from ..codes.potentials import load_potential
    from .structures import load_structure

    structure = load_structure(request['structure'])
    potential = load_potential(request['potential'])
    code = choose_code(request['code'], potential.family)
    return WorkflowFactory(CONDUCTIVITY).get_builder_from_protocol(
        code=code,
        potential=potential,
        structure=structure,
        protocol=request['protocol'],
        overrides=overrides,
        options=job_options(code, request),
        computer=computer_of(code),
        packing=packing_of(request),
    )


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    from ..calculations.functions.plan_equilibration import read_settings, supercell
    from ..contract.units import FEMTOSECONDS_OF_PS

    settings = read_settings(builder.settings.get_dict())
    atoms = len(supercell(builder.structure, settings).sites)
    temperatures = settings.temperatures_k
    stages = (('npt', settings.equilibration), ('nvt', settings.production))
    each = sum(
        run.duration_ps * FEMTOSECONDS_OF_PS / builder[name].md.parameters['timestep_fs'] for name, run in stages
    )
    steps = settings.repeats * len(temperatures) * each
    return (
        f'{settings.mobile_element} in {counted(atoms, "atom")} at {", ".join(f"{one:g}" for one in temperatures)} K, '
        f'{settings.repeats} x {settings.production.duration_ps:g} ps each, {steps:.2g} steps in all, '
        f'protocol {builder.settings.label}'
    )


def conductivity_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the conductivity as ``--json`` prints it, or ``None`` if the chain has none."""
    if 'conductivity' not in chain.outputs:
        return None
    from .processes import jobs_of

    content, jobs = chain.outputs.conductivity.get_dict(), jobs_of(chain)
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        **{key: content.get(key) for key in KEYS},
        **content,
        'structure': chain.inputs.structure.label,
        'structure_uuid': chain.inputs.structure.uuid,
        'protocol': chain.inputs.settings.label or None,
        'potential': chain.inputs.potential.label,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
    }


def conductivity_line(result: dict[str, Any]) -> str:
    """Return a conductivity in one line."""
    sigma, energy = result['sigma_298_s_per_cm'], result['activation_energy_ev']
    if sigma is None:
        return 'No conductivity at 298 K'
    interval = f'{result["sigma_298_low"]:.2g} to {result["sigma_298_high"]:.2g}'
    return f'Conductivity at 298 K {sigma:.2g} S/cm ({interval}), activation energy {energy:.3f} eV'


def print_conductivity(result: dict[str, Any]) -> None:
    """Print a conductivity, a row for each temperature, and the warnings."""
    print_pairs(
        [
            ('crystal', ', '.join(part for part in (result['formula'], result['structure']) if part)),
            ('potential', result['potential']),
            ('protocol', result['protocol']),
            ('σ(298 K)', _with_interval(result, 'sigma_298', 's_per_cm')),
            ('activation energy', _energy(result)),
            ('D(298 K)', _with_interval(result, 'diffusivity_298', 'cm2_per_s')),
            ('σ(298 K), collective', _with_interval(result, 'sigma_298_collective', 's_per_cm')),
            ('of the repeats', _repeats(result['repeats'])),
            ('atoms', result['natoms']),
            ('runs', result['n_runs']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )  # fmt: skip
    rows = [
        (
            f'{one["temperature_k"]:g}',
            f'{one["volume_ang3"]:.1f}',
            _estimate(one['tracer_cm2_per_s']) or f'below {one["tracer_below_cm2_per_s"]:.1g}',
            _estimate(one['haven_ratio']),
            _estimate(one['sigma_tracer_s_per_cm']),
            f'{one["n_windows"]:.0f}',
        )
        for one in result['temperatures']
    ]
    print_table(None, ('>T / K', '>V / Å³', '>D* / cm²/s', '>Haven', '>σ / S/cm', '>windows'), rows)
    for warning in result['warnings']:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)


def _with_interval(result: dict[str, Any], name: str, unit: str) -> str | None:
    value = result[f'{name}_{unit}']
    if value is None:
        return None
    return f'{value:.2g} {_UNITS[unit]} ({result[f"{name}_low"]:.2g} to {result[f"{name}_high"]:.2g})'


def _energy(result: dict[str, Any]) -> str | None:
    if result['activation_energy_ev'] is None:
        return None
    low, high = result['activation_energy_low_ev'], result['activation_energy_high_ev']
    return f'{result["activation_energy_ev"]:.3f} eV ({low:.3f} to {high:.3f})'


def _repeats(repeats: list[dict[str, Any]]) -> str | None:
    values = [one['sigma_298_s_per_cm'] for one in repeats]
    return ', '.join('–' if value is None else f'{value:.2g}' for value in values) + ' S/cm' if values else None


def _estimate(value: dict[str, float] | None) -> str | None:
    return None if value is None else f'{value["value"]:.2g} ({value["low"]:.2g}–{value["high"]:.2g})'


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw mean-square displacements and Arrhenius lines of a chain into a file and return its path.

    The curves are measured anew from the trajectories, by the function that made the numbers.

    :raises Refusal: if the chain has no conductivity yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..calculations.functions.analyse_conductivity import measure_trajectories
    from ..calculations.functions.plan_equilibration import read_settings
    from ..report.captions import formula
    from ..report.energy_profile import Caption
    from ..report.style import check_format, save_figure
    from ..report.transport import draw_transport
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    settings = read_settings(chain.inputs.settings.get_dict())
    lost = {entry['replica'] for entry in result['lost']}
    kept = {name: node for name, node in chain.outputs.trajectories.items() if name not in lost}
    crystal = chain.inputs.structure
    symbols = [crystal.get_kind(site.kind_name).symbol for site in crystal.sites]
    parts = (
        crystal.label,
        f'{chain.inputs.potential.family} {chain.inputs.potential.label}',
        counted(result['natoms'], 'atom'),
        f'{counted(result["n_runs"], "run")} of {settings.production.duration_ps:g} ps',
    )
    caption = Caption(
        f'{settings.mobile_element} conductivity of {formula(symbols)}',
        ' · '.join(part for part in parts if part),
        _headline(result['warnings']),
    )
    return save_figure(draw_transport(measure_trajectories(settings, kept).together, caption), output)


def _headline(warnings: list[str]) -> str:
    """Return the first warning, and how many more there are."""
    more = f' (and {len(warnings) - 1} more)' if len(warnings) > 1 else ''
    return f'{warnings[0]}{more}' if warnings else ''
