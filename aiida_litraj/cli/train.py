"""``aiida-litraj launch train``, and what ``show``, ``plot`` and ``status`` say of trainings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import print_pairs, print_table
from .dataset.options import criteria_options
from .errors import refusals
from .launching import job_options, launch_options, require_caching, run_or_submit
from .options import parse_overrides, set_override
from .replay import load_replay, replay_options, replay_text, set_replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

    from ..data import PotentialData
    from ..data.frames import FramesData

TRAIN = 'litraj.train.base'
JOB = 'litraj.train'
TITLE = 'Training'
FILES = ('.xyz', '.extxyz')
"""A name that ends so is that of a file, and not of a data set."""
NUMBERS = {
    'epochs': (click.IntRange(1), 'N', 'Instead of those of the protocol.'),
    'batch_size': (click.IntRange(1), 'N', 'Configurations a step.'),
    'learning_rate': (click.FloatRange(0.0, min_open=True), 'RATE', 'In the first epoch.'),
}
"""Options of a training that are asked for most, by their names in its parameters."""


def number_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a training that are asked for most."""
    for name, (kind, word, text) in reversed(NUMBERS.items()):
        command = click.option(f'--{name.replace("_", "-")}', name, type=kind, metavar=word, help=text)(command)
    return command


@click.command(short_help='A potential from labelled configurations.')
@click.argument('source')
@click.option('--valid', metavar='SOURCE', help='What tells the best epoch.  [default: a part of SOURCE]')
@click.option(
    '--valid-fraction', type=click.FloatRange(0.0, 1.0, min_open=True, max_open=True), metavar='F',
    help='Part of SOURCE that is not learnt.  [default: 0.1]',
)  # fmt: skip
@click.option('--split-seed', type=int, metavar='N', help='Of that part.  [default: 0]')
@click.option(
    '--held-out',
    type=click.Choice(['materials', 'trajectories', 'frames']),
    help='What the validation set has that is not learnt.  [default: as the protocol says]',
)
@criteria_options
@click.option('--number', type=click.IntRange(2), metavar='N', help='Of the entries, chosen by --strategy.')
@click.option(
    '--strategy',
    type=click.Choice(['random', 'farthest', 'stratified']),
    default='random',
    show_default=True,
    help='How entries are chosen.',
)
@click.option('--potential', metavar='NAME', help='What is gone on from; from scratch without.')
@click.option('--trainer', metavar='NAME', help='sevennet, mace, ...  [default: by the potential, or the protocol]')
@click.option('--protocol', metavar='NAME', help='balanced, litraj-2025, scratch-mace, ...  [default: as it begins]')
@replay_options
@click.option('--seeds', metavar='N,N,...', help='A training for each.  [default: those of the protocol]')
@number_options
@click.option('--code', metavar='NAME', help='Code to run.  [default: the one with the family]')
@launch_options
def train(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Train a potential on the labelled configurations of SOURCE, from scratch or going on from another.

    SOURCE is an extended xyz file with energies and forces, the pk of labelled configurations or of the chain that
    labelled them, or the name of a data set or of a split of it, of which criteria choose. Without --valid a part of it
    is kept back, in which no material is torn apart.

    \b
    Examples:
      aiida-litraj launch train LiPS-25/train --valid LiPS-25/val --potential 7net-0 --daemon
      aiida-litraj launch train labelled.extxyz --potential 7net-0 --protocol litraj-2025
      aiida-litraj launch train 123 --trainer mace --valid-fraction 0.2 --held-out frames --seeds 0,1,2
      aiida-litraj launch train 123 --potential mace-small --replay known.extxyz --replay-weight 0.5
    """
    overrides = collect_overrides(request)
    if cache and daemon:
        require_caching(JOB)
    with refusals():
        builder = prepare(request, overrides)
    if cache is False:
        builder.train.metadata.disable_cache = True
    if not as_json:
        job = builder.train
        (learnt,), (judging,) = job.train_sets.values(), job.valid_sets.values()
        say_plan(plan_text(builder), job.parameters, learnt, judging)
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def collect_overrides(request: dict[str, Any]) -> dict[str, Any]:
    """Return all that differs from the protocol, nested as in the protocol.

    :raises click.UsageError: if options do not go together.
    """
    if request['valid'] is not None:
        for name in ('valid_fraction', 'split_seed'):
            if request[name] is not None:
                option = f'--{name.replace("_", "-")}'
                raise click.UsageError(f'{option} parts SOURCE, but --valid is given: leave out one of both')
    overrides = number_overrides(request, 'parameters')
    set_replay(overrides, 'parameters', request)
    return overrides


def number_overrides(request: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Return all that differs from the protocol, nested as in the protocol.

    :param section: in which of its parts the parameters of trainings are.
    """
    overrides = parse_overrides(request['overrides'])
    for name in NUMBERS:
        if request[name] is not None:
            option = f'--{name.replace("_", "-")} {request[name]}'
            set_override(overrides, [section, name], request[name], option)
    return overrides


def check_parent(trainer: str | None, potential: PotentialData | None) -> None:
    """Refuse a trainer that does not know the family of the parent, before a code is looked for.

    :raises ValueError: naming both.
    """
    from ..contract.trainers import TRAINERS

    if potential is not None and trainer in TRAINERS and trainer != potential.family:
        raise ValueError(
            f'--trainer {trainer} cannot go on from {potential.label!r}, a potential of the family {potential.family}; '
            'leave out --trainer, or --potential to begin from scratch'
        )


def prepare(request: dict[str, Any], overrides: dict[str, Any]) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    from ..codes.choose import choose_code, computer_of
    from ..codes.potentials import load_potential
    from ..workflows.train import default_protocol

    chain = WorkflowFactory(TRAIN)
    potential = None if request['potential'] is None else load_potential(request['potential'])
    check_parent(request['trainer'], potential)
    protocol = request['protocol'] or default_protocol(potential, request['trainer'])
    numbers = chain.get_protocol_inputs(protocol, overrides)
    trainer = request['trainer'] or (numbers['parameters']['trainer'] if potential is None else potential.family)
    code = choose_code(request['code'], trainer)
    frames = labelled_source(request['source'], request)
    given = {
        'potential': potential, 'trainer': trainer, 'protocol': protocol, 'overrides': overrides,
        'seeds': parse_seeds(request['seeds']), 'held_out': request['held_out'],
        'replay': load_replay(request),
        'options': job_options(code, request), 'computer': computer_of(code),
    }  # fmt: skip
    if request['valid'] is not None:
        return chain.get_builder_from_protocol(code, frames, labelled_source(request['valid']), **given)
    from ..calculations.functions.split_frames import parts_of, read_split, split_frames

    fraction = 0.1 if request['valid_fraction'] is None else request['valid_fraction']
    asked = {
        'valid_fraction': fraction, 'seed': request['split_seed'] or 0,
        'held_out': request['held_out'] or numbers['trainings']['held_out'],
    }  # fmt: skip
    parts = parts_of(frames, read_split(asked))
    builder = chain.get_builder_from_protocol(code, parts['train'], parts['valid'], **given)
    # What could be refused has been: only now it is stored how the configurations were parted.
    stored = _run_split(split_frames, frames, asked)
    builder.train.train_sets, builder.train.valid_sets = ({name: stored[name]} for name in ('train', 'valid'))
    return builder


def _run_split(function: Any, frames: FramesData, asked: dict[str, Any]) -> dict[str, FramesData]:
    from aiida.orm import Dict

    made = function(frames, Dict(asked))
    for name, node in made.items():
        node.label = f'{frames.label or "configurations"}: {name}'
    return dict(made)


def parse_seeds(text: str | None) -> list[int] | None:
    """Return the seeds.

    :raises click.UsageError: if one is no number.
    """
    if text is None:
        return None
    try:
        return [int(one) for one in text.split(',')]
    except ValueError as error:
        raise click.UsageError(f'--seeds {text!r} does not parse: write whole numbers, as in 0,1,2') from error


def labelled_source(text: str, request: dict[str, Any] | None = None) -> FramesData:
    """Return the configurations that a text names, stored.

    :param request: criteria by which entries of a data set are chosen; ``None`` takes all.
    :raises Refusal: if a file or node cannot be used.
    :raises ValueError: if there is no such data set, or no entry meets the criteria.
    """
    from .configurations import load_configurations
    from .evaluate import read_labelled

    path, asked = Path(text).expanduser(), request or {}
    chosen = asked.get('criteria') or asked.get('number')
    is_node = text.isdigit() or (len(text) == 36 and text.count('-') == 4)
    if path.is_file() or is_node:
        if chosen:
            raise click.UsageError(
                f'{text} is taken whole: criteria and --number choose entries of a data set; make one of it with '
                'aiida-litraj dataset import, or leave them out'
            )
        return read_labelled(path) if path.is_file() else load_configurations([text])
    if path.suffix in FILES:
        raise ValueError(f'{text}: there is no such file')
    from ..groups.select import WHOLE, Wish, select

    number = asked.get('number')
    wish = Wish(number, 'all' if number is None else asked['strategy'], 0)
    return select(text, wish, **(asked.get('criteria') or {})).parts[WHOLE]


def say_plan(text: str, parameters: Mapping[str, Any], learnt: FramesData, judging: FramesData) -> None:
    """Print what will be computed, and what a person should know of it before."""
    from ..calculations.train_sets import composition_warning

    click.echo(text, err=True)
    warning = composition_warning(parameters, learnt, judging)
    if warning is not None:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    job = builder.train
    (learnt,), (judging,) = job.train_sets.values(), job.valid_sets.values()
    start = f'on from {job.potential.label}' if 'potential' in job else 'from scratch'
    replay = list((job.get('replay_sets', None) or {}).values())
    return (
        f'{job.parameters["trainer"]} {start}: {counted(learnt.n_frames, "configuration")} of '
        f'{"-".join(learnt.base.attributes.get("elements"))} to learn, {judging.n_frames} to judge by (new '
        f'{job.held_out.value}){replay_text(replay)}; {counted(len(job.trainings), "training")} of up to '
        f'{counted(job.parameters["epochs"], "epoch")}, protocol {job.parameters.label}'
    )


def training_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return trainings as ``--json`` prints them, or ``None`` if the chain has none that came to an end."""
    from .processes import jobs_of

    if 'results' not in chain.outputs:
        return None
    inputs, jobs, items = chain.inputs.train, jobs_of(chain), chain.outputs.results['items']
    potentials = dict(chain.outputs.potentials) if 'potentials' in chain.outputs else {}
    (learnt,), (judging,) = inputs.train_sets.values(), inputs.valid_sets.values()
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        'trainer': inputs.parameters['trainer'],
        'parent': inputs.potential.label if 'potential' in inputs else None,
        'protocol': inputs.parameters.label or None,
        'elements': learnt.base.attributes.get('elements'),
        'n_train': learnt.n_frames,
        'n_valid': judging.n_frames,
        'held_out': inputs.held_out.value,
        'trainings': {
            name: {
                'seed': inputs.trainings[name]['seed'],
                **{key: value for key, value in item.items() if key != 'native_input'},
                'potential': _potential(potentials.get(name)),
            }
            for name, item in items.items()
        },
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
    }


def _potential(node: Any) -> dict[str, Any] | None:
    return None if node is None else {'pk': node.pk, 'uuid': node.uuid, 'label': node.label, 'sha256': node.sha256}


def training_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    parts = [f'{name} {_rmse(item) or item["status"]}' for name, item in result['trainings'].items()]
    return f'Validation force error: {", ".join(parts)}'


def _rmse(item: dict[str, Any]) -> str | None:
    value = item['valid_force_mev_per_ang']
    return None if value is None else f'{value:.4g} meV/Å'


def print_training(result: dict[str, Any]) -> None:
    """Print how each training ended, and its potential."""
    start = f'on from {result["parent"]}' if result['parent'] else 'from scratch'
    print_pairs(
        [
            ('training', f'{result["trainer"]}, {start}'),
            ('learnt', f'{counted(result["n_train"], "configuration")} of {"-".join(result["elements"])}'),
            ('judged by', f'{result["n_valid"]}, new {result["held_out"]}'),
            ('protocol', result['protocol']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    rows = [
        (
            name, item['status'] if not item['stopped_early'] else 'stopped early', item['n_epochs'],
            item['best_epoch'], _rmse(item), (item['potential'] or {}).get('label'),
        )
        for name, item in result['trainings'].items()
    ]  # fmt: skip
    print_table(None, ('training', 'ended', '>epochs', '>best', '>RMSE(F) there', 'potential'), rows)
    for name, item in result['trainings'].items():
        if item['reason']:
            click.echo(click.style(f'Warning: {name}: {item["reason"]}', fg='yellow'), err=True)
    made = [item['potential']['label'] for item in result['trainings'].values() if item['potential']]
    if made:
        click.echo(f'What it has learnt from: aiida-litraj potential lineage {made[0]}')


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw the learning curves of a chain into a file and return its path.

    :raises Refusal: if the chain has none yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..contract.train import CURVE
    from ..report.energy_profile import Caption
    from ..report.learning_curve import Course, draw_learning_curves
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    curves = dict(chain.outputs.curves) if 'curves' in chain.outputs else {}
    courses = {
        name: Course({key: node.get_array(key) for key in CURVE}, result['trainings'][name]['best_epoch'])
        for name, node in curves.items()
    }
    start = f'on from {result["parent"]}' if result['parent'] else 'from scratch'
    caption = Caption(
        f'{"-".join(result["elements"])}: {result["trainer"]} {start}',
        f'{result["n_train"]} configurations learnt, {result["n_valid"]} to judge by (new {result["held_out"]}) · '
        f'protocol {result["protocol"]}',
    )
    return save_figure(draw_learning_curves(courses, caption), output)


def lineage_of(name: str) -> dict[str, Any]:
    """Return what a potential has seen as ``--json`` prints it.

    :raises Refusal: if there is no such potential.
    """
    from dataclasses import asdict

    from aiida.orm import load_node

    from ..codes.potentials import load_potential
    from ..groups.lineage import lineage

    node = load_potential(name)
    found = lineage(node)
    return {
        'uuid': node.uuid,
        'pk': node.pk,
        'label': node.label,
        'parents': [{'uuid': uuid, 'pk': (one := load_node(uuid)).pk, 'label': one.label} for uuid in found.parents],
        'trainings': [{'uuid': uuid, 'pk': load_node(uuid).pk} for uuid in found.trainings],
        'n_learnt': len(found.learnt),
        'n_validated': len(found.validated),
        'learnt': [asdict(one) for one in found.learnt],
        'validated': [asdict(one) for one in found.validated],
    }


def print_lineage(result: dict[str, Any]) -> None:
    """Print what a potential has seen, by set and material."""
    if not result['trainings']:
        click.echo(f'{result["label"]} was not trained here: nothing is known of what it has learnt from.')
        return
    print_pairs(
        [
            ('potential', f'{result["label"]} (pk {result["pk"]})'),
            ('goes on from', ' ← '.join(f'{one["label"]} (pk {one["pk"]})' for one in result['parents']) or None),
            ('learnt', f'{counted(result["n_learnt"], "configuration")}{_materials(result["learnt"])}'),
            ('validated', f'{counted(result["n_validated"], "configuration")}{_materials(result["validated"])}'),
        ]
    )
    rows: dict[str, tuple[str, int]] = {}
    for what in ('learnt', 'validated'):
        for one in result[what]:
            rows[one['set_uuid']] = (what, rows.get(one['set_uuid'], (what, 0))[1] + 1)
    print_table(None, ('set', '', '>configurations'), [(uuid, what, n) for uuid, (what, n) in rows.items()])
    click.echo('Each of them, with its entry: --json')


def _materials(configurations: list[dict[str, Any]]) -> str:
    names = {one['material_id'] for one in configurations} - {None}
    return f' of {counted(len(names), "material")}' if names else ''
