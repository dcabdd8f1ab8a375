"""``aiida-litraj launch evaluate``, and what ``show``, ``plot`` and ``status`` say of potentials beside labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import print_pairs, print_table
from .dataset.options import criteria_options
from .errors import Refusal, refusals
from .launching import launch_options, packing_option, require_caching, run_or_submit
from .options import parse_overrides, set_override
from .potentials import choose_potentials, labels_of

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

    from ..data.frames import FramesData

EVALUATE = 'litraj.evaluate'
TITLE = 'Evaluation'
REMEDY = 'Give an extended xyz file with energies and forces; --frames and --dataset take what is stored.'


@click.command(short_help='Errors of potentials on labelled configurations.')
@click.argument('file', required=False)
@click.option('--frames', metavar='PK', help='Labelled configurations, or the chain that labelled them.')
@click.option('--dataset', metavar='NAME', help='Entries of a set, or of a split of it such as NAME/test.')
@criteria_options
@click.option('--number', type=click.IntRange(1), metavar='N', help='Of the entries, chosen by --strategy.')
@click.option(
    '--strategy',
    type=click.Choice(['random', 'farthest', 'stratified']),
    default='random',
    show_default=True,
    help='How entries are chosen.',
)
@click.option('--seed', type=int, default=0, show_default=True, metavar='N', help='Of the choice.')
@click.option(
    '--potential',
    'potentials',
    required=True,
    multiple=True,
    metavar='NAME',
    help='Label, pk or uuid of an imported potential. Repeatable: they are compared on the same configurations.',
)
@click.option('--protocol', metavar='NAME', help='balanced, lips25-2025 or raw.  [default: balanced]')
@click.option(
    '--offsets', type=click.Choice(['least_squares', 'ridge', 'none']), help='How energies of elements are fitted.'
)
@click.option('--family', metavar='KEY', help='What tables group by: a key of the info, dataset or material.')
@click.option(
    '--unit', type=click.Choice(['auto', 'material', 'trajectory', 'frame']), help='What is drawn for the intervals.'
)
@click.option('--code', metavar='NAME', help='Code to run.  [default: the one with the family of each potential]')
@packing_option
@launch_options  # fmt: skip
def evaluate(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Evaluate labelled configurations with each potential, and say how far it is from the labels, and how surely.

    The configurations are in FILE, an extended xyz file with energies, forces and by choice stresses; or they are
    stored (--frames), or entries of a data set (--dataset, with the criteria of "aiida-litraj dataset query").

    \b
    Examples:
      aiida-litraj launch evaluate --frames 123 --potential 7net-0 --potential 7net-l3i5
      aiida-litraj launch evaluate --dataset LiPS-25 --number 200 --potential 7net-0 --daemon
      aiida-litraj launch evaluate --dataset MPLiTrj --potential 7net-0 --max-jobs 8 --walltime 12h --daemon
      aiida-litraj launch evaluate --dataset MPLiTrj/test --elements Li-P-S --potential 7net-0
      aiida-litraj launch evaluate labelled.extxyz --potential 7net-0 --offsets none --json
    """
    overrides = collect_overrides(request)
    if cache and daemon:
        require_caching(EVALUATE)
    with refusals():
        builder = prepare(request, overrides, cache)
    if not as_json:
        click.echo(plan_text(builder), err=True)
        for text in still_filled(request['dataset']):
            click.echo(click.style(f'Warning: {text}', fg='yellow'), err=True)
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def collect_overrides(request: dict[str, Any]) -> dict[str, Any]:
    """Return all that differs from the protocol, nested as in the protocol.

    :raises click.UsageError: if the configurations come from no place, or from two.
    """
    sources = {'FILE': request['file'], '--frames': request['frames'], '--dataset': request['dataset']}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) != 1:
        said = ' and '.join(given) if given else 'none'
        raise click.UsageError(f'configurations: {said} given; name one of FILE, --frames and --dataset')
    if request['dataset'] is None and (request['criteria'] or request['number']):
        raise click.UsageError(f'{given[0]} is taken whole: criteria and --number choose entries of a --dataset')
    overrides = parse_overrides(request['overrides'])
    for name in ('offsets', 'family', 'unit'):
        if request[name] is not None:
            set_override(overrides, ['settings', name], request[name], f'--{name} {request[name]}')
    return overrides


def prepare(request: dict[str, Any], overrides: dict[str, Any], cache: bool | None = None) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    potentials, jobs, _ = choose_potentials(request['potentials'], request, cache)
    return WorkflowFactory(EVALUATE).get_builder_from_protocol(
        potentials=potentials, frames=configurations(request), protocol=request['protocol'], overrides=overrides,
        jobs=jobs,
    )  # fmt: skip


def configurations(request: dict[str, Any]) -> FramesData:
    """Return the labelled configurations that a request names, stored.

    :raises Refusal: if a file or node cannot be used.
    :raises ValueError: if no entry meets the criteria.
    """
    if request['file'] is not None:
        return read_labelled(Path(request['file']).expanduser())
    if request['frames'] is not None:
        from .configurations import load_configurations

        return load_configurations([request['frames']])
    from ..groups.select import WHOLE, Wish, select

    number = request['number']
    wish = Wish(number, 'all' if number is None else request['strategy'], request['seed'])
    return select(request['dataset'], wish, **request['criteria']).parts[WHOLE]


def read_labelled(path: Path) -> FramesData:
    """Return the configurations of a file with their labels and info; the same file gives the same node.

    :raises Refusal: if there is none, or it cannot be read.
    """
    import ase.io
    from aiida.orm import QueryBuilder

    from ..analysis.frames import from_ase
    from ..data.frames import FramesData
    from .structures import reason_of

    if path.is_dir():
        raise Refusal(f'the configurations {path} are a folder', REMEDY)
    if not path.is_file():
        raise Refusal(f'the configurations {path} are not there: no such file', REMEDY)
    try:
        images = ase.io.read(str(path), index=':')
    except Exception as error:  # readers of ASE raise whatever parsing meets
        raise Refusal(f'the configurations {path} cannot be read: {reason_of(error)}', REMEDY) from error
    for atoms in images:
        for name in set(atoms.arrays) - {'numbers', 'positions'}:
            del atoms.arrays[name]
    node = FramesData.from_frames(from_ase(images))
    same = {'extras._aiida_hash': node.base.caching._compute_hash()}
    found = QueryBuilder().append(FramesData, filters=same).limit(1).all(flat=True)
    if found:
        return found[0]
    node.label = path.stem
    return node.store()


def still_filled(dataset: str | None) -> list[str]:
    """Return which chains go on to label into a set, and how far they are."""
    from ..groups.label_chains import chains_filling, progress_text
    from .left_behind import is_left_behind

    if dataset is None:
        return []
    chains = chains_filling(dataset.partition('/')[0])
    return [f'{progress_text(chain)}{" (left behind)" if is_left_behind(chain) else ""}' for chain in chains]


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    frames, number = builder.frames, len(builder.potentials)
    return (
        f'{counted(frames.n_frames, "configuration")} of {"-".join(frames.base.attributes.get("elements"))}, up to '
        f'{counted(frames.base.attributes.get("n_atoms"), "atom")}; {counted(number, "potential")}, protocol '
        f'{builder.settings.label}'
    )


def errors_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return the errors of a chain as ``--json`` prints them, by potential, or ``None`` if it has none."""
    from .processes import jobs_of

    if 'errors' not in chain.outputs:
        return None
    jobs, frames = jobs_of(chain), chain.inputs.frames
    errors = {name: node.get_dict() for name, node in chain.outputs.errors.items()}
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        'frames_uuid': frames.uuid,
        'n_frames': frames.n_frames,
        'elements': frames.base.attributes.get('elements'),
        'formula': frames.base.attributes.get('formula'),
        'label': frames.label or None,
        'potentials': labels_of({name: chain.inputs.potentials[name]['potential'].label for name in errors}),
        'not_evaluated': sorted(set(chain.inputs.potentials) - set(errors)),
        'errors': errors,
        'protocol': chain.inputs.settings.label or None,
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
    }


def errors_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    parts = []
    for name, one in result['errors'].items():
        rmse, slope = one['rmse_force_mev_per_ang'], one['slope_force']
        said = 'no forces' if rmse is None else f'{_digits(rmse)} meV/Å'
        parts.append(f'{result["potentials"][name]} {said}{"" if slope is None else f" (slope {slope:.2f})"}')
    return f'Force errors: {", ".join(parts)}'


def print_errors(result: dict[str, Any]) -> None:
    """Print the errors of each potential with their intervals, then per element and per family."""
    some = next(iter(result['errors'].values()))
    print_pairs(
        [
            ('configurations', f'{result["n_frames"]} of {result["formula"] or "-".join(result["elements"])}'),
            ('intervals', _intervals(some)),
            ('energies', _offsets(some)),
            ('protocol', result['protocol']),
            ('not evaluated', ', '.join(result['not_evaluated']) or None),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    labels = result['potentials']
    _table(None, [(labels[name], one) for name, one in result['errors'].items()], 'potential')
    for name, one in result['errors'].items():
        several = result['errors'] if len(result['errors']) > 1 else ()
        title = labels[name] if several else None
        if len(one['per_element']) > 1:
            _table(title, list(one['per_element'].items()), 'element', ('force',))
        if one['per_family']:
            _table(title, list(one['per_family'].items()), one['family_key'] or 'family')
    said: dict[str, None] = {}
    for name, one in result['errors'].items():
        for warning in one['warnings']:
            own = sum(warning in other['warnings'] for other in result['errors'].values()) < len(result['errors'])
            said[f'{labels[name]}: {warning}' if own else warning] = None
    for warning in said:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)


QUANTITIES = {
    'force': (
        ('rmse_force_mev_per_ang', 'RMSE(F) meV/Å'), ('mae_force_mev_per_ang', 'MAE(F)'), ('slope_force', 'slope(F)'),
    ),
    'energy': (('rmse_energy_mev_per_atom', 'RMSE(E) meV/atom'),),
    'stress': (('rmse_stress_gpa', 'RMSE(σ) GPa'), ('slope_stress', 'slope(σ)')),
}  # fmt: skip


def _table(
    title: str | None,
    rows: list[tuple[str, dict[str, Any]]],
    what: str,
    quantities: tuple[str, ...] = tuple(QUANTITIES),
) -> None:
    """Print a table of errors; a column of which nothing is known is left out."""
    columns = [column for quantity in quantities for column in QUANTITIES[quantity]]
    columns = [column for column in columns if any(one.get(column[0]) is not None for _, one in rows)]
    counts = [one.get('n_frames_force') or one.get('n_frames_energy') for _, one in rows]
    print_table(
        title,
        (what, '>frames', *(f'>{header}' for _, header in columns)),
        [
            (name, count, *(_with_interval(one, key) for key, _ in columns))
            for (name, one), count in zip(rows, counts, strict=True)
        ],
    )


def _with_interval(one: dict[str, Any], key: str) -> str | None:
    value, interval = one.get(key), one.get(f'{key}_interval')
    if value is None:
        return None
    written = _slope if key.startswith('slope') else _digits
    return written(value) if interval is None else f'{written(value)} [{written(interval[0])}, {written(interval[1])}]'


def _slope(value: float) -> str:
    return f'{value:.3f}'


def _digits(value: float) -> str:
    from ..report.parity import digits

    return digits(value)


_SINGULAR = {'material': 'material', 'trajectory': 'trajectory', 'frame': 'single configuration'}


def _intervals(one: dict[str, Any]) -> str:
    unit = {'material': 'materials', 'trajectory': 'trajectories', 'frame': 'single configurations'}[one['unit']]
    if all(one[f'rmse_{name}_interval'] is None for name in ('force_mev_per_ang', 'energy_mev_per_atom', 'stress_gpa')):
        return _no_intervals(one, unit)
    percent = 100.0 * one['settings']['confidence']
    return f'{percent:g} %, over {one["n_groups"]} {unit}'


def _no_intervals(one: dict[str, Any], unit: str) -> str:
    """Return why there are none, and what there could be."""
    from ..analysis.bootstrap import FEWEST_GROUPS

    number = one['n_groups']
    if number >= FEWEST_GROUPS:
        return f'none: too few of {number} {unit} have labels'
    names = f' ({", ".join(one["groups"])})' if one.get('groups') else ''
    said = f'none: {counted(number, _SINGULAR[one["unit"]])}{names}, {FEWEST_GROUPS} are needed'
    return said if one['unit'] == 'frame' else f'{said}; --unit frame draws single configurations'


def _offsets(one: dict[str, Any]) -> str:
    if one['offset_method'] == 'none':
        return 'as they are'
    exact = '' if one['offset_unique'] else f', {one["offset_rank"]} of {len(one["offsets"])} determined'
    return f'after offsets of the elements ({one["offset_method"].replace("_", " ")}{exact})'


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw predictions beside labels into a file and return its path.

    :raises Refusal: if the chain has no errors yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..analysis.parity import parity
    from ..report.energy_profile import Caption
    from ..report.parity import draw_parity, energies_mean_nothing
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    reference = chain.inputs.frames.frames
    points, errors = {}, {}
    for name, one in result['errors'].items():
        label = result['potentials'][name]
        points[label] = parity(reference, chain.outputs.predictions[name].frames, one['offsets'])
        errors[label] = one
    some = next(iter(result['errors'].values()))
    what = result['label'] or result['formula'] or '-'.join(result['elements'])
    energies = f'energies {_offsets(some)}'
    if energies_mean_nothing(points, errors):
        fitted = counted(some['offset_rank'], 'offset')
        energies = f'no energies: {fitted} of elements would fit {"it" if result["n_frames"] == 1 else "all"} exactly'
    there_are = some['rmse_force_mev_per_ang_interval'] is not None
    intervals = f'in brackets: {_intervals(some)}' if there_are else 'no intervals'
    level, code = level_of(chain.inputs.frames)
    parts = [counted(result['n_frames'], 'configuration'), level, energies, intervals]
    caption = Caption(f'{what}: potentials and labels', ' · '.join(part for part in parts if part))
    return save_figure(draw_parity(points, errors, caption, code), output)


def level_of(frames: FramesData) -> tuple[str | None, str | None]:
    """Return in words what labels are computed with, and the name of the code; ``None`` where that is not known."""
    from ..groups.export import level_words
    from ..groups.labelled import levels_of

    level = frames.base.attributes.get('level', None)
    name = frames.base.attributes.get('dataset', None)
    if level is None and name is not None:
        try:
            levels = levels_of(name)
        except ValueError:  # it may be gone
            levels = []
        level = levels[0] if len(levels) == 1 else None
    return (None, None) if level is None else (level_words(level), level.get('code'))
