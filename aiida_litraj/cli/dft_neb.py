"""``aiida-litraj launch dft-neb``, and what ``show``, ``plot`` and ``status`` say of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import print_pairs, print_table
from .errors import refusals
from .launching import launch_options, require_caching, run_or_submit
from .options import parse_overrides, set_override
from .potentials import job_of, labels_of, name_of

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

DFT_NEB = 'litraj.dft_neb'
TITLE = 'DFT-NEB'


@click.command(name='dft-neb', short_help='The barrier of a hop by DFT, with potentials beside it.')
@click.argument('structure')
@click.option('--hop', metavar='SOURCE,TARGET,I,J,K', help='As in "launch barrier"; "aiida-litraj hops" lists them.')
@click.option('--final', metavar='STRUCTURE', help='Final structure of a path, instead of --hop.')
@click.option('--mobile', default='Li', show_default=True, metavar='ELEMENT', help='Element that hops.')
@click.option('--mechanism', type=click.Choice(['vacancy', 'interstitial']), help='[default: as the hop is written]')
@click.option(
    '--potential', 'potentials', multiple=True, metavar='NAME',
    help='To compare with: label, pk or uuid of an imported potential. Repeatable.',
)  # fmt: skip
@click.option('--start-from', metavar='NAME', help='One of these: DFT starts from its converged path.')
@click.option('--protocol', metavar='NAME', help='balanced, litraj-2025 or fast.  [default: balanced]')
@click.option('--supercell-min', type=float, metavar='ANG', help='Least distance of the ion to its periodic image.')
@click.option('--images', type=int, metavar='N', help='Images of the path, both ends included.')
@click.option('--cutoff', type=float, metavar='EV', help='Of the plane waves.')
@click.option('--kpoints', metavar='N,N,N', help='Mesh that holds Gamma, instead of a spacing.')
@click.option('--ranks', type=click.IntRange(min=1), metavar='N', help='MPI ranks of each group.  [default: 1]')
@click.option('--name', metavar='NAME', help='Of the path and its entries in a data set.  [default: hop]')
@click.option('--dataset', metavar='NAME', help='Set that all configurations on the way join.')
@click.option('--code', metavar='NAME', help='Engine with GPAW.  [default: the one that has it]')
@launch_options
def dft_neb(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Optimise the path of a hop in STRUCTURE with GPAW, and with potentials, and compare their paths and barriers.

    The images of a step are spread over the cores: --processes groups of --ranks MPI ranks each. Every configuration
    that DFT evaluates on the way is kept, with energy and forces.

    \b
    Examples:
      aiida-litraj launch dft-neb Li2O.cif --hop 0,1,0,0,0 --potential 7net-0 --protocol fast
      aiida-litraj launch dft-neb Li3PO4.cif --hop 0,6,0,0,0 --potential 7net-0 --start-from 7net-0 --daemon
      aiida-litraj launch dft-neb Li2O.cif --hop 0,1,0,0,0 --dataset mine --name Li2O_0_1 --ranks 4 --processes 5
      aiida-litraj launch dft-neb Li2O.cif --hop 0,1,0,0,0 --override level.smearing_width_ev=0.1
    """
    if (request['hop'] is None) == (request['final'] is None):
        raise click.UsageError(
            'give either --hop or --final, not both or neither: the hop is either two sites or two structures; '
            f'aiida-litraj hops {request["structure"]} lists hops'
        )
    overrides = collect_overrides(request)
    if cache and daemon:
        require_caching('litraj.neb')
    with refusals():
        builder = prepare(request, overrides, cache)
    if not as_json:
        click.echo(plan_text(builder), err=True)
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def collect_overrides(request: dict[str, Any]) -> dict[str, Any]:
    """Return all that differs from the protocol, nested as in the protocol.

    :raises click.UsageError: if the mesh does not parse.
    """
    overrides = parse_overrides(request['overrides'])
    given = {
        'geometry.min_image_distance_ang': request['supercell_min'],
        'geometry.n_images': request['images'],
        'level.cutoff_ev': request['cutoff'],
    }
    if request['kpoints'] is not None:
        try:
            given['level.kpoint_mesh'] = [int(part) for part in request['kpoints'].split(',')]
        except ValueError as error:
            raise click.UsageError(f'--kpoints {request["kpoints"]!r}: write three numbers, like 2,2,2') from error
        set_override(overrides, ['level', 'kpoint_spacing_per_ang'], None, '--kpoints')
    for key, value in given.items():
        if value is not None:
            set_override(overrides, key.split('.'), value, f'{key} {value}')
    return overrides


def prepare(request: dict[str, Any], overrides: dict[str, Any], cache: bool | None = None) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    from ..codes.choose import choose_code
    from ..codes.potentials import load_potential
    from .structures import load_structure

    crystal = _crystal(request, load_structure(request['structure']))
    codes = {'reference': choose_code(request['code'], 'gpaw')}
    potentials: dict[str, Any] = {}
    names: dict[str, str] = {}
    for text in request['potentials']:
        potential = load_potential(text)
        name = name_of(potential.label or text, potentials, f'--potential {text}')
        names[text] = name
        codes[name] = choose_code(None, potential.family)
        potentials[name] = {'code': codes[name], 'potential': potential}
    start = request['start_from']
    if start is not None and start not in (*names, *potentials):
        raise click.UsageError(f'--start-from {start}: it is not among the potentials; give it as --potential too')
    jobs: dict[str, Any] = {}
    for name, code in codes.items():
        # GPAW runs on the cores, in groups of ranks; a potential where it is asked to, in as many processes as fit
        others = ('device',) if name == 'reference' else ('processes', 'ranks')
        asked = {**request, **dict.fromkeys(others)}
        jobs[name] = job_of(code, asked, cache)
    return WorkflowFactory(DFT_NEB).get_builder_from_protocol(
        codes['reference'],
        potentials=potentials,
        start_from=None if start is None else names.get(start, start),
        dataset=request['dataset'],
        name=request['name'],
        protocol=request['protocol'],
        overrides=overrides,
        jobs=jobs,
        **crystal,
    )


def _crystal(request: dict[str, Any], structure: Any) -> dict[str, Any]:
    """Return the structures and the hop of a request."""
    from ..analysis.hops import parse_hop
    from .structures import load_structure

    if request['final'] is not None:
        final = load_structure(request['final'])
        hop = {'mobile_element': request['mobile']}
        return {'initial_structure': structure, 'final_structure': final, 'hop': hop}
    try:
        hop = parse_hop(request['hop'], request['mechanism'], request['mobile']).model_dump(mode='json')
    except ValueError as error:
        raise click.UsageError(f'--hop: {error}') from error
    return {'structure': structure, 'hop': hop}


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    from ..report.captions import plan_text as hop_text
    from ..workflows.barrier import straight_path

    path = straight_path(builder)
    hop = hop_text(path.labels, path.hop_displacement, path.natoms, path.n_images, builder.geometry.label)
    others = [chosen['potential'].label for chosen in builder.potentials.values()]
    ranks = (builder.jobs['reference'].get('options') or {}).get('ranks_per_process', 1)
    shared = f', {ranks} ranks' if ranks > 1 else ''
    reference = f'{_level_text(builder.reference.potential)}{shared}'
    beside = f', beside {", ".join(others)}' if others else ''
    return f'{hop}; {reference}{beside}'


def _level_text(potential: Any) -> str:
    """Return what a reference computes with."""
    options = potential.options
    if 'cutoff_ev' not in options:
        return str(potential.label)
    mesh = options.get('kpoint_mesh')
    points = f'k-points {mesh}' if mesh else f'k-points {options["kpoint_spacing_per_ang"]:g} per Ang'
    return f'GPAW {options["functional"]}, {options["cutoff_ev"]:g} eV, {points}'


def dft_neb_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the barriers and differences of a chain as ``--json`` prints them, or ``None`` if it has none."""
    from ..groups.configurations import is_member
    from ..report.captions import plain_formula
    from .processes import jobs_of

    if 'barrier' not in chain.outputs:
        return None
    jobs, path = jobs_of(chain), chain.outputs.path
    labels = labels_of({name: chosen['potential'].label for name, chosen in _potentials(chain).items()})
    nested = {
        name: {key: node.get_dict() for key, node in chain.outputs[name].items()} if name in chain.outputs else {}
        for name in ('barriers', 'comparison')
    }
    configurations = chain.outputs.configurations if 'configurations' in chain.outputs else None
    dataset = chain.inputs.dataset.value if 'dataset' in chain.inputs else None
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        **chain.outputs.barrier.get_dict(),
        'reference': _level_text(chain.inputs.reference.potential),
        'formula': plain_formula(list(path.symbols)),
        'potentials': labels,
        **nested,
        'n_configurations': 0 if configurations is None else configurations.n_frames,
        'configurations_uuid': None if configurations is None else configurations.uuid,
        'dataset': dataset,
        'joined': None if dataset is None or configurations is None else is_member(dataset, configurations),
        'protocol': chain.inputs.parameters.label or None,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
    }


def _potentials(chain: WorkChainNode) -> dict[str, Any]:
    return dict(chain.inputs.potentials) if 'potentials' in chain.inputs else {}


def dft_neb_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    parts = [f'DFT barrier {result["barrier_ev"]:.3f} eV{"" if result["converged"] else " (not converged)"}']
    parts += [
        f'{result["potentials"][name]} {one["barrier_difference_ev"]:+.3f} eV'
        for name, one in result['comparison'].items()
    ]
    return ', '.join(parts)


def print_dft_neb(result: dict[str, Any]) -> None:
    """Print barriers and path errors, and the profile of DFT beside those of the potentials."""
    where = f', {"in" if result["joined"] else "not in"} {result["dataset"]}' if result['dataset'] else ''
    print_pairs(
        [
            ('atoms', f'{result["natoms"]} of {result["formula"]}'),
            ('reference', result['reference']),
            ('protocol', result['protocol']),
            ('converged', 'yes' if result['converged'] else f'NO [{result["exit_status"]}]'),
            ('configurations', f'{result["n_configurations"]}{where}'),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    rows: list[tuple[object, ...]] = [
        ('DFT', *_barriers(result), '', '', '', 'yes' if result['converged'] else 'NO'),
    ]
    for name, own in result['barriers'].items():
        compared = result['comparison'].get(name)
        away = ['', '', '']
        if compared is not None:
            away = [f'{compared[key]:+.3f}' for key in ('barrier_difference_ev', 'range_difference_ev')]
            away.append(f'{compared["path_error_ang"]:.3f}')
        rows.append((result['potentials'][name], *_barriers(own), *away, 'yes' if own['converged'] else 'NO'))
    columns = ('', '>barrier / eV', '>max - min', '>Δ barrier', '>Δ max - min', '>path error / Å', 'converged')
    print_table(None, columns, rows)
    others = {result['potentials'][name]: own['profile_ev'] for name, own in result['barriers'].items()}
    profiles = zip(result['profile_ev'], *others.values())
    print_table(
        None,
        ('>image', '>DFT / eV', *(f'>{name}' for name in others)),
        [(image, *(f'{energy:.4f}' for energy in energies)) for image, energies in enumerate(profiles)],
    )
    told = [
        *result['warnings'],
        *(f'{result["potentials"][n]}: {w}' for n, b in result['barriers'].items() for w in b['warnings']),
    ]
    for warning in told:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)


def _barriers(content: dict[str, Any]) -> tuple[str, str]:
    return f'{content["barrier_ev"]:.3f}', f'{content["range_ev"]:.3f}'


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw the energy profiles of a chain over each other into a file and return its path.

    :raises Refusal: if the chain has no barrier yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    import numpy as np

    from ..analysis.barriers import energy_profile
    from ..report.captions import formula, hop_text
    from ..report.energy_profile import Caption
    from ..report.energy_profiles import draw_energy_profiles
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)

    def profile_of(path: Any) -> Any:
        return energy_profile(path.get_positions(), np.asarray(path.energies), path.image_forces)

    path = chain.outputs.path
    others = {result['potentials'][name]: profile_of(chain.outputs.paths[name]) for name in result['barriers']}
    mobile = f'{path.labels["mobile_element"]} hop' if path.labels.get('mobile_element') else 'Hop'
    parts = (hop_text(path.labels), counted(path.natoms, 'atom'), counted(path.n_images, 'image'), result['protocol'])
    names = {'DFT': result, **{result['potentials'][name]: own for name, own in result['barriers'].items()}}
    open_ones = [name for name, own in names.items() if not own['converged']]
    caption = Caption(
        f'{mobile} in {formula(list(path.symbols))}',
        ' · '.join(part for part in parts if part),
        f'not converged: {", ".join(open_ones)}' if open_ones else '',
    )
    return save_figure(draw_energy_profiles((result['reference'], profile_of(path)), others, caption), output)
