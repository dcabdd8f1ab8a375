"""Sets of chains that train several potentials: what is learnt, what tells the best epoch, what is held back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .dataset.options import criteria_options
from .launching import job_options
from .train import labelled_source, number_options, parse_seeds

if TYPE_CHECKING:
    from aiida.engine import ProcessBuilder
    from aiida.orm import AbstractCode

    from ..data.frames import FramesData

PARTS = {'test': 0.2, 'valid': 0.1}
"""What is held back where no set is named, in this order: parts of what is left."""


def sets_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options by which sets are named or parted, and those that all trainings have."""
    fraction = click.FloatRange(0.0, 1.0, min_open=True, max_open=True)
    options = [
        click.option('--test', metavar='SOURCE', help='What potentials are judged on.  [default: a part of SOURCE]'),
        click.option('--valid', metavar='SOURCE', help='What tells the best epoch.  [default: a part of the rest]'),
        click.option('--test-fraction', type=fraction, metavar='F', help='That part of SOURCE.  [default: 0.2]'),
        click.option('--valid-fraction', type=fraction, metavar='F', help='That part of the rest.  [default: 0.1]'),
        click.option('--split-seed', type=int, default=0, show_default=True, metavar='N', help='Of these parts.'),
        click.option(
            '--held-out', type=click.Choice(['materials', 'trajectories', 'frames']),
            help='What both sets have that is not learnt.  [default: as the protocol says]',
        ),
        click.option('--number', type=click.IntRange(2), metavar='N', help='Of the entries, chosen by --strategy.'),
        click.option(
            '--strategy', type=click.Choice(['random', 'farthest', 'stratified']), default='random', show_default=True,
            help='How entries are chosen.',
        ),
        click.option('--seeds', metavar='N,N,...', help='A repeat for each.  [default: those of the protocol]'),
        number_options,
        click.option(
            '--max-iterations', type=click.IntRange(1), metavar='N',
            help='Jobs that a training may take, one after the other.  [default: 20]',
        ),
        click.option('--code', metavar='NAME', help='Code to run.  [default: the one with the family]'),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return criteria_options(command)


def build_with_sets(
    make: Callable[[Mapping[str, FramesData]], ProcessBuilder], request: Mapping[str, Any], held_out: str
) -> ProcessBuilder:
    """Return the builder that ``make`` returns for the sets ``train``, ``valid`` and ``test``.

    Nothing is stored of a request that is refused; then it is stored how configurations were parted.
    """
    from aiida.orm import Dict

    from ..calculations.functions.split_frames import parts_of, read_split, split_frames

    source = labelled_source(request['source'], dict(request))
    given = {name: labelled_source(request[name]) for name in PARTS if request[name] is not None}
    asked = {
        name: {
            'valid_fraction': request[f'{name}_fraction'] or share,
            'seed': request['split_seed'],
            'held_out': held_out,
        }
        for name, share in PARTS.items()
        if name not in given
    }
    for name in given:
        if request[f'{name}_fraction'] is not None:
            raise click.UsageError(f'--{name}-fraction parts SOURCE, but --{name} is given: leave out one of both')

    def sets(part: Callable[[FramesData, dict[str, Any]], Mapping[str, FramesData]]) -> dict[str, FramesData]:
        left, made = source, dict(given)
        for name, settings in asked.items():
            parts = part(left, settings)
            left, made[name] = parts['train'], parts['valid']
        return {'train': left, **made}

    def store(frames: FramesData, settings: dict[str, Any]) -> dict[str, FramesData]:
        made, label = split_frames(frames, Dict(settings)), frames.label or 'configurations'
        names = {'train': 'rest', 'valid': next(one for one, said in asked.items() if said is settings)}
        for part, node in made.items():
            node.label = f'{label}: {names[part]}'
        return dict(made)

    builder = make(sets(lambda frames, settings: parts_of(frames, read_split(settings))))
    for name, node in sets(store).items() if asked else ():
        builder[name] = node
    return builder


def common(request: Mapping[str, Any], code: AbstractCode, cache: bool | None) -> dict[str, Any]:
    """Return the arguments of builders that say how often it is trained, and how jobs are run."""
    from ..codes.choose import computer_of

    job = {} if cache is not False else {'disable_cache': True}
    most = {} if request['max_iterations'] is None else {'max_iterations': request['max_iterations']}
    return {
        'protocol': request['protocol'],
        'seeds': parse_seeds(request['seeds']),
        'held_out': request['held_out'],
        'options': job_options(code, request),
        'computer': computer_of(code),
        'jobs': {'train': {**job, **most}, 'evaluate': dict(job)},
    }


def sets_text(builder: ProcessBuilder) -> str:
    """Return in words how many configurations are learnt and held back."""
    return (
        f'{counted(builder.train.n_frames, "configuration")} of '
        f'{"-".join(builder.train.base.attributes.get("elements"))} to learn, {builder.valid.n_frames} to tell the '
        f'best epoch, {builder.test.n_frames} to judge by (new {builder.held_out.value})'
    )


def sets_of(chain: Any) -> dict[str, Any]:
    """Return what ``--json`` says of every such chain."""
    from .processes import jobs_of

    inputs, jobs = chain.inputs, jobs_of(chain)
    return {
        'uuid': chain.uuid,
        'pk': chain.pk,
        'parent': inputs.potential.label if 'potential' in inputs else None,
        'protocol': inputs.settings.label or None,
        'elements': inputs.train.base.attributes.get('elements'),
        'n_train': inputs.train.n_frames,
        'n_valid': inputs.valid.n_frames,
        'n_test': inputs.test.n_frames,
        'held_out': inputs.held_out.value,
        'potentials': {
            name: {'pk': node.pk, 'uuid': node.uuid, 'label': node.label, 'sha256': node.sha256}
            for name, node in (dict(chain.outputs.potentials) if 'potentials' in chain.outputs else {}).items()
        },
        'failed': failed_of(chain),
        'from_cache': bool(jobs) and all(job.base.caching.is_created_from_cache for job in jobs),
        'exit_status': chain.exit_status,
        'exit_message': chain.exit_message or None,
    }


def failed_of(chain: Any) -> dict[str, str]:
    """Return the trainings that did not come to their end, with the reason."""
    from aiida.orm import WorkChainNode

    found = {}
    for link in chain.base.links.get_outgoing(node_class=WorkChainNode).all():
        if link.link_label.startswith('train_') and link.node.is_terminated and not link.node.is_finished_ok:
            name, results = link.link_label.removeprefix('train_'), getattr(link.node.outputs, 'results', None)
            items = {} if results is None else results['items']
            reasons = [item['reason'] for item in items.values() if item['reason']]
            found[name] = str(reasons[0] if reasons else link.node.exit_message or link.node.process_state)
    return found


def number_text(value: float | None, form: str = '.4g') -> str | None:
    """Return a number, ``None`` of none."""
    return None if value is None else format(value, form)


def spread_text(one: Mapping[str, Any] | None, form: str = '.4g') -> str | None:
    """Return a mean with its standard deviation, ``None`` of none."""
    if one is None:
        return None
    return format(one['mean'], form) + ('' if one['std'] is None else f' ± {one["std"]:.2g}')


def warn(result: Mapping[str, Any]) -> None:
    """Print what failed and what a person should know."""
    for name, reason in result['failed'].items():
        click.echo(click.style(f'Warning: {name}: {reason}', fg='yellow'), err=True)
    for warning in result['warnings']:
        click.echo(click.style(f'Warning: {warning}', fg='yellow'), err=True)
