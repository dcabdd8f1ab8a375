"""``aiida-litraj launch finetune``, and what ``show``, ``plot`` and ``status`` say of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.finetune_words import (
    PARENT,
    answer,
    called,
    energies_text,
    kind_of,
    middle_of,
    ordered,
    over_text,
    ratio_text,
)
from ..report.words import counted
from .console import print_pairs, print_table
from .errors import refusals
from .finetune_hops import barriers_line, load_hops, print_barriers
from .finetune_hops import plan_text as hops_text
from .launching import launch_options, require_caching, run_or_submit
from .replay import load_replay, replay_options, replay_text, set_replay
from .train import labelled_source, number_overrides, say_plan
from .training_sets import build_with_sets, common, number_text, sets_of, sets_options, sets_text, spread_text, warn

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from aiida.engine import ProcessBuilder
    from aiida.orm import WorkChainNode

    from ..data.frames import FramesData

FINETUNE = 'litraj.finetune'
TITLE = 'Fine-tuning'
SETS = {'test': 'held-out test set', 'elsewhere': 'elsewhere'}
NUMBERS = (('rmse_force_mev_per_ang', '.1f'), ('slope_force', '.3f'), ('rmse_energy_mev_per_atom', '.2f'))
REPEATS = {'fine_tuned': 'mean of {}', 'from_scratch': 'mean of {} from scratch'}


@click.command(short_help='A potential before and after training, on what it has not seen.')
@click.argument('source')
@click.option('--potential', required=True, metavar='NAME', help='What is gone on from.')
@click.option('--elsewhere', metavar='SOURCE', help='Labelled configurations that it should not forget.')
@click.option(
    '--neb', 'nebs', multiple=True, metavar='PK',
    help='A finished barrier, DFT-NEB or check of one, whose hop is computed before and after. Repeatable.',
)  # fmt: skip
@click.option('--from-scratch/--not-from-scratch', default=None, help='Also train without a parent, to compare with.')
@click.option('--protocol', metavar='NAME', help='balanced, litraj-2025, lips25-2025 or fast.  [default: balanced]')
@replay_options
@sets_options
@launch_options
def finetune(cache: bool | None, daemon: bool, as_json: bool, **request: Any) -> None:
    """Go on from a potential with the labelled configurations of SOURCE, and say whether it was worth it.

    SOURCE is an extended xyz file with energies and forces, the pk of labelled configurations or of the chain that
    labelled them, or the name of a data set or of a split of it. Without --test and --valid parts of it are kept back,
    in which no material is torn apart. They are compared before and after on the test set, by --elsewhere, and on
    the hops of --neb: a DFT-NEB, a check, a path that DFT has found or an entry such as nebDFT2k/ENTRY is the
    reference too.

    \b
    Examples:
      aiida-litraj launch finetune labelled.extxyz --potential 7net-0 --daemon
      aiida-litraj launch finetune LiPS-25/train --valid LiPS-25/val --test LiPS-25/test --potential 7net-0 --number 25
      aiida-litraj launch finetune 123 --potential mace-small --from-scratch --elsewhere 145 --seeds 0,1,2
      aiida-litraj launch finetune labelled.extxyz --potential 7net-0 --neb 167 --neb nebDFT2k/mp-10042_0
      aiida-litraj launch finetune 123 --potential mace-small --replay known.extxyz --replay-weight 0.5
    """
    overrides = number_overrides(request, 'train')
    set_replay(overrides, 'train', request)
    if cache and daemon:
        require_caching('litraj.train')
    with refusals():
        builder = prepare(request, overrides, cache)
    if not as_json:
        say_plan(plan_text(builder), builder.parameters, builder.train, builder.valid)
    run_or_submit(builder, cache, daemon, as_json, TITLE)


def prepare(request: dict[str, Any], overrides: dict[str, Any], cache: bool | None = None) -> ProcessBuilder:
    """Return the builder of the chain; everything about the request that is wrong is refused here or in the builder."""
    from aiida.plugins import WorkflowFactory

    from ..codes.choose import choose_code
    from ..codes.potentials import load_potential

    chain, potential = WorkflowFactory(FINETUNE), load_potential(request['potential'])
    code = choose_code(request['code'], potential.family)
    numbers = chain.get_protocol_inputs(request['protocol'], overrides)
    elsewhere = None if request['elsewhere'] is None else labelled_source(request['elsewhere'])
    given = {**common(request, code, cache), 'overrides': overrides, 'from_scratch': request['from_scratch']}
    given['jobs']['neb'] = dict(given['jobs']['evaluate'])
    given['hops'] = load_hops(request['nebs'])
    given['replay'] = load_replay(request)
    return build_with_sets(
        lambda sets: chain.get_builder_from_protocol(code, potential, **sets, elsewhere=elsewhere, **given),
        request,
        request['held_out'] or numbers['trainings']['held_out'],
    )


def plan_text(builder: ProcessBuilder) -> str:
    """Return in a line what will be computed."""
    number = len(builder.trainings) * (2 if 'scratch_parameters' in builder else 1)
    return (
        f'{builder.parameters["trainer"]} on from {builder.potential.label}: {sets_text(builder)}'
        f'{replay_text([builder.replay] if "replay" in builder else [])}; '
        f'{counted(number, "training")} of up to {counted(builder.parameters["epochs"], "epoch")}, protocol '
        f'{builder.settings.label}{hops_text(builder)}'
    )


def finetune_of(chain: WorkChainNode) -> dict[str, Any] | None:
    """Return a comparison as ``--json`` prints it, or ``None`` if the chain has none."""
    if 'comparison' not in chain.outputs:
        return None
    offsets = {key: value for key, value in chain.outputs.offsets.get_dict().items() if key != 'warnings'}
    sets = {name: chain.inputs[name] for name in SETS if name in chain.inputs}
    said = sets_of(chain)
    for name, one in said['potentials'].items():
        item = next(iter(chain.outputs.trained[name]['items'].values()))
        one |= {key: item.get(key) for key in ('n_epochs', 'best_epoch')}
    return {
        **said,
        **chain.outputs.comparison.get_dict(),
        'n_materials': {name: materials_of(node) for name, node in sets.items()},
        'offsets': offsets,
    }


def materials_of(frames: FramesData) -> int | None:
    """Return how many materials there are among configurations, ``None`` if it is not known of all."""
    names = frames.base.attributes.get('material_ids', None)
    return len(set(names)) if isinstance(names, list) and names and all(name is not None for name in names) else None


def finetune_line(result: dict[str, Any]) -> str:
    """Return a result in one line."""
    test = result['test']
    before = test['potentials'].get(PARENT, {}).get('rmse_force_mev_per_ang')
    after = test['repeats']['fine_tuned']['rmse_force_mev_per_ang']
    told = f'{number_text(before) or "–"} → {"–" if after is None else format(after["mean"], ".4g")} meV/Å'
    forgets = ', forgets' if result['forgets'] else ''
    return f'RMSE of forces on {test["n_frames"]} held-out configurations: {told}{forgets}{barriers_line(result)}'


def print_finetune(result: dict[str, Any]) -> None:
    """Print errors before and after on each set, how they compare, and what is safe."""
    print_pairs(
        [
            ('fine-tuned', f'{result["parent"]}, with {counted(result["n_train"], "configuration")}'),
            ('judged on', f'{counted(result["n_test"], "configuration")}, new {result["held_out"]}'),
            ('protocol', result['protocol']),
            ('chain', f'pk {result["pk"]}, uuid {result["uuid"]}'),
        ]
    )
    columns = ('potential', '>RMSE(F) / meV/Å', '', '>slope', '', '>RMSE(E) / meV/atom', '')
    for where, title in SETS.items():
        block = result[where]
        if block is not None:
            click.echo(title)
            print_table(None, columns, [*_rows(block, result['parent'])])
            for text in _notes(result, where):
                click.echo(text)
            click.echo(f'RMSE(E): {energies_text(result["offsets"]).removeprefix("energies: ")}')
            for text in _improvements(block):
                click.echo(text)
    _print_made(result)
    verdict = {True: 'yes', False: 'no', None: 'not known'}[result['forgets']]
    if result['elsewhere'] is not None:
        click.echo(f'Forgets: {verdict}')
    if result.get('barriers') is not None:
        print_barriers(result['barriers'])
    warn(result)


def _rows(block: dict[str, Any], parent: str) -> Iterator[tuple[Any, ...]]:
    """Yield the numbers of each potential, the parent's first, and after repeats their mean and spread."""
    for kind in ('before', *REPEATS):
        names = [name for name in ordered(block['potentials']) if kind_of(name) == kind]
        for name in names:
            yield _row(called(name, parent), block['potentials'][name])
        if len(names) > 1:
            row: list[Any] = [REPEATS[kind].format(counted(len(names), 'seed'))]
            for key, form in NUMBERS:
                row += [spread_text(block['repeats'][kind][key], form), None]
            yield tuple(row)


def _row(name: str, one: dict[str, Any]) -> tuple[Any, ...]:
    parts: list[Any] = [name]
    for key, form in NUMBERS:
        ends = one[f'{key}_interval']
        parts += [number_text(one[key], form), None if ends is None else f'[{ends[0]:{form}}, {ends[1]:{form}}]']
    return tuple(parts)


def _notes(result: dict[str, Any], where: str) -> Iterator[str]:
    """Yield what the numbers beside those of a table are, as far as there are any."""
    block = result[where]
    if any(one['rmse_force_mev_per_ang_interval'] for one in block['potentials'].values()):
        over = over_text(block, result['n_materials'].get(where))
        yield f'[ ]: {100 * result["confidence"]:g} % interval over {over}'
    if sum(kind_of(name) != 'before' for name in block['potentials']) > 1:
        yield '±: standard deviation over seeds'


def _improvements(one: dict[str, Any]) -> list[str]:
    """Return in words how errors compare, with their paired intervals and what these say."""
    told = []
    pairs = {
        'fine-tuned / parent': one['improvement']['fine_tuned'],
        'from scratch / parent': one['improvement']['from_scratch'],
        'fine-tuned / from scratch': one['fine_tuned_over_scratch'],
    }
    for words, found in pairs.items():
        for key, what in (('force', 'Force'), ('energy', 'Energy')):
            if found is not None and found[key] is not None:
                told.append(f'{what} error {words}: {ratio_text(found[key])}')
    return told


def _print_made(result: dict[str, Any]) -> None:
    """Print what was made and can be gone on with, by ``--potential``."""
    made = result['potentials']
    rows = []
    for name in ordered(made):
        one = made[name]
        ended = 'did not come to its end' if name in result['failed'] else None
        rows.append((name, one['label'], one['pk'], one['n_epochs'], one['best_epoch'], ended))
    if rows:
        click.echo('made, to be named with --potential')
        print_table(None, ('training', 'potential', '>pk', '>epochs', '>best', ''), rows)


def save_picture(chain: WorkChainNode, output: Path) -> Path:
    """Draw a comparison into a file and return its path.

    :raises Refusal: if the chain has none yet, or none at all.
    :raises ValueError: if the format of the picture is not known.
    """
    from ..report.energy_profile import Caption
    from ..report.finetune import draw_finetune
    from ..report.style import check_format, save_figure
    from .processes import finished_result

    check_format(output)
    result = finished_result(chain)
    points = parities(chain, result)
    drawn = f' · beside the labels: {_middle(result, dict(chain.outputs.predictions))[1]}' if points else ''
    caption = Caption(
        f'{"-".join(result["elements"])}: {result["parent"]} fine-tuned',
        f'{counted(result["n_train"], "configuration")} learnt, {result["n_test"]} held out (new {result["held_out"]}) '
        f'· protocol {result["protocol"]}{drawn} · {energies_text(result["offsets"])}',
        'it forgets: the force error elsewhere has grown' if result['forgets'] else '',
    )
    test = result['test']
    told = answer(test, result['n_materials'].get('test'), result['confidence']) if test else ''
    return save_figure(draw_finetune(result, caption, points, told), output)


def _middle(result: dict[str, Any], known: Container[str]) -> tuple[str, str]:
    """Return the repeat that is drawn, and in words which one: of those that are known and were compared."""
    potentials = result['test']['potentials']
    errors = {name: potentials[name]['rmse_force_mev_per_ang'] for name in potentials if kind_of(name) == 'fine_tuned'}
    return middle_of({name: error or 0.0 for name, error in errors.items() if name in known})


def parities(chain: WorkChainNode, result: dict[str, Any]) -> dict[str, Any]:
    """Return predictions beside labels on the test set, of the parent and of the seed nearest to the mean of all.

    Energies are those that are compared: the parent's after the offsets, and none of compositions for which these do
    not hold. Empty unless there are predictions of both.
    """
    from dataclasses import replace

    import numpy as np

    from ..analysis.offset_transfer import transfer
    from ..analysis.parity import parity
    from ..calculations.functions.fit_offsets import read_offsets

    predictions = dict(chain.outputs.predictions) if 'predictions' in chain.outputs else {}
    potentials = result['test']['potentials'] if result['test'] else {}
    if PARENT not in predictions or not any(
        kind_of(name) == 'fine_tuned' and name in predictions for name in potentials
    ):
        return {}
    middle, _ = _middle(result, predictions)
    fit, labels = read_offsets(chain.outputs.offsets.get_dict()), chain.inputs.test.frames
    if labels.energies is not None:
        labels = replace(labels, energies=np.where(transfer(fit, labels).determined, labels.energies, np.nan))
    offsets = dict(zip(fit.elements, fit.offsets_ev.tolist(), strict=True))
    return {
        name: parity(labels, predictions[name].frames, offsets if name == PARENT else {}) for name in (PARENT, middle)
    }
