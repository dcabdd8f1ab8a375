"""``aiida-litraj launch formation-energy``, and what ``show``, ``plot`` and ``status`` say of formation energies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import print_pairs, print_table
from .errors import refusals
from .launching import launch_options, require_caching, run_or_submit
from .options import parse_overrides, set_override
from .potentials import choose_potentials, name_of

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

FORMATION = 'litraj.formation_energy'
TITLE = 'Formation energies'


@click.command(short_help='Formation energies and hull of crystals between two compounds.')
@click.argument('structures', nargs=-1, required=True)
@click.option(
    '--potential', 'potentials', required=True, multiple=True, metavar='NAME',
    help='Label, pk or uuid of an imported potential; DFT is one of the family gpaw. Repeatable.',
)  # fmt: skip
@click.option(
    '--reference', metavar='NAME', help='One more potential, with which the others are compared, such as DFT.'
)
@click.option(
    '--reference-file', type=click.Path(path_type=Path), metavar='FILE',
    help='Published formation energies instead: YAML with formation_energies_ev_per_atom and source.',
)  # fmt: skip
@click.option(
    '--end-members', metavar='A,B', help='Two of the crystals.  [default: those between which most of the others are]'
)
@click.option('--protocol', metavar='NAME', help='balanced or lips25.  [default: balanced]')
@click.option('--code', metavar='NAME', help='Code to run.  [default: the one with the family of each potential]')
@launch_options
def formation_energy(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Relax crystals with each potential, cells too, and give their formation energies against two end members.

    STRUCTURES are CIF, POSCAR or extended xyz files or nodes of crystals on a line such as Li2S-P2S5; each goes by the
    name of its file. A crystal that is no mixture of the end members is left out, and the others go on.

    \b
    Examples:
      aiida-litraj launch formation-energy Li2S.cif Li3PS4.cif Li7P3S11.cif P2S5.cif --potential 7net-0
      aiida-litraj launch formation-energy Li2S.cif Li3PS4.cif P2S5.cif --potential 7net-0 --reference pbesol --daemon
      aiida-litraj launch formation-energy Li2S.cif Li3PS4.cif Li2P2S6.cif --potential 7net-0 --end-members Li2S,Li2P2S6
    """
    overrides = parse_overrides(request['overrides'])
    if request['end_members'] is not None:
        ends = [part.strip() for part in request['end_members'].split(',')]
        set_override(overrides, ['settings', 'end_members'], ends, f'--end-members {request["end_members"]}')
    if cache and daemon:
        require_caching('litraj.relax')
    with refusals():
        builder = prepare(request, overrides, cache)
    if not as_json:
        click.echo(plan_text(builder), err=True)
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def prepare(request: dict[str, Any], overrides: dict[str, Any], cache: bool | None = None) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    from .structures import load_structure

    crystals: dict[str, Any] = {}
    for text in request['structures']:
        node = load_structure(text)
        name = name_of(node.label or Path(text).stem, crystals, text)
        crystals[name] = node
    texts = (*request['potentials'], *filter(None, [request['reference']]))
    potentials, jobs, names = choose_potentials(texts, request, cache)
    return WorkflowFactory(FORMATION).get_builder_from_protocol(
        potentials=potentials,
        structures=crystals,
        protocol=request['protocol'],
        overrides=overrides,
        reference=names.get(request['reference']),
        reference_energies=_read_file(request['reference_file']),
        jobs=jobs,
    )


def _read_file(path: Path | None) -> dict[str, Any] | None:
    """Return the published formation energies in a file.

    :raises ValueError: if it cannot be read, or holds no mapping.
    """
    import yaml

    if path is None:
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f'--reference-file {path}: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'--reference-file {path}: the file holds no mapping')
    return content


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    from ..calculations.functions.place_on_line import line_between, read_settings

    line = line_between(read_settings(builder.settings.get_dict()), builder.structures)
    atoms = sum(place.n_atoms for place in line.places.values())
    off = f'; off the line, left out: {", ".join(line.refused)}' if line.refused else ''
    number = len(builder.potentials)
    return (
        f'{counted(len(line.places), "crystal")} ({counted(atoms, "atom")}) between '
        f'{line.end_members[0]} and {line.end_members[1]} for '
        f'{counted(number, "potential")}, protocol {builder.settings.label}{off}'
    )


def formation_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the formation energies of a chain as ``--json`` prints them, or ``None`` if it has none."""
    from .processes import jobs_of

    if 'formation' not in chain.outputs:
        return None
    jobs, content = jobs_of(chain), chain.outputs.formation.get_dict()
    labels = {name: chain.inputs.potentials[name]['potential'].label or name for name in content['potentials']}
    if len(set(labels.values())) < len(labels):
        labels = {name: name for name in labels}
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        **content,
        'labels': labels,
        'protocol': chain.inputs.settings.label or None,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
        'exit_message': chain.exit_message or None,
    }


def formation_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    return f'Formation energies: {", ".join(_short(result, name) for name in result["potentials"])}'


def _short(result: dict[str, Any], name: str) -> str:
    """Return a potential with its error, or with how many crystals have a formation energy."""
    one, label = result['potentials'][name], result['labels'][name]
    if one['reason']:
        return f'{label}: none, {one["reason"]}'
    if 'rmse_formation_mev_per_atom' in one:
        crystals = counted(one['n_compared'], 'crystal')
        return f'{label}: RMSE {one["rmse_formation_mev_per_atom"]:.1f} meV/atom over {crystals}'
    number = len(set(one['formation_energies_ev_per_atom']) - set(result['end_members']))
    return f'{label}: {"the reference, " if _is_reference(result, name) else ""}{counted(number, "crystal")}'


def _is_reference(result: dict[str, Any], name: str) -> bool:
    return result['reference'] is not None and result['reference']['name'] == name


def print_formation(result: dict[str, Any]) -> None:
    """Print the formation energies of each potential by falling mole fraction, their errors, and what to know."""
    units, reference = result['formula_units'], result['reference']
    beside = None if reference is None else result['labels'].get(reference['name']) or reference['source']
    print_pairs(
        [
            ('line', f'x {units[0]} + (1-x) {units[1]}, against {" and ".join(result["end_members"])}'),
            ('reference', beside),
            ('protocol', result['protocol']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    names = sorted(result['crystals'], key=lambda name: (-result['crystals'][name]['mole_fraction'], name))
    if reference is not None and reference['name'] is None:
        _print_potential(result, names, f'{reference["source"]}: published', reference)
    for name, one in result['potentials'].items():
        _print_potential(result, names, _short(result, name), one)
    for name, reason in result['refused'].items():
        click.echo(f'{name} is left out: {reason}')
    for warning in result['warnings']:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)


def _print_potential(result: dict[str, Any], names: list[str], title: str, one: dict[str, Any]) -> None:
    click.echo(title)
    differences, left_out = one.get('differences_mev_per_atom', {}), one.get('left_out', {})
    ratios = one.get('volume_ratios', {})
    compared = [('>- reference', lambda name: _mev(differences.get(name), 1.0))] if differences else []
    columns: list[tuple[str, Callable[[str], str | None]]] = [
        ('crystal', str),
        (
            f'>mol% {result["formula_units"][0]}',
            lambda name: f'{100.0 * result["crystals"][name]["mole_fraction"]:.4g}',
        ),
        ('>E_f / meV', lambda name: _mev(one['formation_energies_ev_per_atom'].get(name), 1000.0)),
        *compared,
        ('>above hull', lambda name: _mev(one['above_hull_ev_per_atom'].get(name), 1000.0)),
        ('>volume %', lambda name: f'{100.0 * (ratios[name] - 1.0):+.1f}' if name in ratios else None),
        ('', lambda name: left_out[name]['reason'] if name in left_out else None),
    ]
    print_table(None, [title for title, _ in columns], [[cell(name) for _, cell in columns] for name in names])


def _mev(value: float | None, factor: float) -> str | None:
    return None if value is None else f'{factor * value + 0.0:.1f}'


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw the formation energies of a chain over composition into a file and return its path.

    :raises Refusal: if the chain has none yet, or none at all.
    :raises ValueError: if the format of the picture is not known, or no potential has formation energies.
    """
    from ..calculations.functions.place_on_line import line_from
    from ..report.energy_profile import Caption
    from ..report.formation import draw_formation, subscripts
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    line, reference = line_from(result), result['reference']
    series = {
        result['labels'][name]: one['formation_energies_ev_per_atom']
        for name, one in result['potentials'].items()
        if one['formation_energies_ev_per_atom']
    }
    beside = None
    if reference is not None and reference['formation_energies_ev_per_atom']:
        beside = result['labels'].get(reference['name']) or reference['source']
        series[beside] = reference['formation_energies_ev_per_atom']
    units = [subscripts(unit) for unit in result['formula_units']]
    errors = [
        f'{result["labels"][name]} {one["rmse_formation_mev_per_atom"]:.1f} meV/atom'
        for name, one in result['potentials'].items()
        if 'rmse_formation_mev_per_atom' in one
    ]
    against = f'RMSE beside {beside}: {", ".join(errors)}' if errors else 'no reference'
    details = f'{counted(len(line.between), "crystal")}, cells and ions relaxed · {against} · {result["protocol"]}'
    caption = Caption(f'Formation energies between {units[0]} and {units[1]}', details, _warning(result))
    return save_figure(draw_formation(line, series, caption, beside), output)


def _warning(result: dict[str, Any]) -> str:
    """Return what takes the ground from the figure: crystals that are missing, end members that changed by a lot."""
    left = sorted({name for one in result['potentials'].values() for name in one['left_out']})
    changed = [
        f'{name} by {100.0 * (one["volume_warned"][name] - 1.0):+.0f} % ({result["labels"][key]})'
        for key, one in result['potentials'].items()
        for name in result['end_members']
        if name in one['volume_warned']
    ]
    said = [f'not converged and left out: {", ".join(left)}'] if left else []
    said += [f'an end member changed its volume: {", ".join(changed)}'] if changed else []
    return '; '.join(said)
