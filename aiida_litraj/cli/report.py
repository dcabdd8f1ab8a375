"""``aiida-litraj report``: what chains found, as a page to publish or as files for papers and scripts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .console import emit_json
from .errors import Refusal, refusals
from .options import json_option, with_profile

if TYPE_CHECKING:
    from ..report.page.gather import Chosen

FORMATS = ('html', 'md', 'csv', 'json')
_KEPT_MB = 40.0


@click.command(short_help='What chains found, as one page.')
@click.argument('pks', metavar='PK...', nargs=-1, required=True)
@click.option(
    '-o', '--output', type=click.Path(path_type=Path), default=Path('report'), show_default=True,
    help='Folder to write into, made if need be.',
)  # fmt: skip
@click.option(
    '--format', 'kind', type=click.Choice(FORMATS), default='html', show_default=True,
    help='One page that works offline; tables for a paper; a file for each table; or everything for a script.',
)  # fmt: skip
@click.option('--title', help='Of the report.  [default: the potential, or how many there are]')
@click.option(
    '--size', 'megabytes', type=click.FloatRange(min=0.0), default=_KEPT_MB, show_default=True, metavar='MB',
    help='What paths in 3D may take: those of failed hops come first, then those that are furthest off.',
)  # fmt: skip
@click.option('--pictures/--no-pictures', default=True, help='The figures of aiida-litraj plot.  [default: with them]')
@json_option
@with_profile
def report(
    pks: tuple[str, ...], output: Path, kind: str, title: str | None, megabytes: float, pictures: bool, as_json: bool
) -> None:
    """Write one report on the chains PK (or the chains that nodes PK belong to), of whatever kinds they are.

    A benchmark of barriers gets its leaderboard, points to click, energies and paths in 3D, worst cases and failures;
    a robustness grid, a conductivity, a fine-tuning, force errors and all others their numbers and figure. With each
    come settings, versions, checksums, costs and the uuid of every result. What has no result yet is told.

    \b
    Examples:
      aiida-litraj report 123
      aiida-litraj report 123 456 789 -o report/
      aiida-litraj report 123 --format md
      aiida-litraj report 123 --format csv -o tables/
    """
    with refusals():
        from ..report.page.write import write_report

        if output.exists() and not output.is_dir():
            raise Refusal(f'{output} is a file', 'Give a folder for the report, such as: -o report/')
        model = make_model(pks, megabytes, pictures and kind == 'html')
        if title is not None:
            model['title'] = title
        files = write_report(model, output, kind)
    lacking = {one['pk']: one['problem'] for one in model['sections'] if one['problem']}
    if as_json:
        chains = [{'pk': one['pk'], 'uuid': one['uuid'], 'problem': one['problem']} for one in model['sections']]
        emit_json({'files': [str(path) for path in files], 'chains': chains})
        return
    for pk, problem in lacking.items():
        click.echo(f'{click.style("Warning:", fg="yellow")} chain {pk} has nothing to show: {problem}', err=True)
    some = files[0] if len(files) == 1 else f'{len(files)} files into {output}'
    click.echo(f'Wrote {some}')
    if kind == 'html':
        click.echo(f'Open it in a browser: {files[0].resolve().as_uri()}')


def make_model(pks: tuple[str, ...], megabytes: float = _KEPT_MB, pictures: bool = True) -> dict[str, Any]:
    """Return the model of a report on chains.

    :raises Refusal: if a pk is of none, or of the same chain as another one.
    """
    from datetime import datetime, timezone

    import aiida

    from .. import __version__
    from ..report.page.gather import gather

    chosen = [_chosen(text, pictures) for text in pks]
    written = datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC')
    return gather(chosen, written, {'aiida-litraj': __version__, 'AiiDA': aiida.__version__}, megabytes)


def _chosen(text: str, pictures: bool) -> Chosen:
    """Return the chain of a node with its result, or with the reason why it has none."""
    from ..report.page.gather import BENCHMARK, Chosen
    from .chains import CHAINS
    from .processes import entry_point, finished_result, kind_of

    node = _load(text)
    kind = str(entry_point(node))
    noun = CHAINS[kind].noun
    if kind == BENCHMARK:
        return _benchmark(node, kind, noun)
    try:
        result = finished_result(node)
    except Refusal as refusal:
        return Chosen(node, kind, noun, problem=refusal.message)
    line = kind_of(node).call('line', result)
    return Chosen(node, kind, noun, result, line, None, _picture(node) if pictures else None)


def _benchmark(node: Any, kind: str, noun: str) -> Chosen:
    """Return a benchmark with what it found, or has found so far."""
    from ..report.page.gather import Chosen
    from .processes import finished_result

    if 'leaderboard' in node.outputs:
        found = {name: one.get_dict() for name, one in node.outputs.benchmark.items()}
        return Chosen(node, kind, noun, {'benchmark': found, 'leaderboard': node.outputs.leaderboard.get_dict()})
    try:
        return Chosen(node, kind, noun, finished_result(node))
    except Refusal as refusal:
        return Chosen(node, kind, noun, problem=refusal.message)


def _load(text: str) -> Any:
    """Return the chain that a node belongs to: the benchmark, or one that is launched.

    :raises Refusal: if it belongs to none.
    """
    from ..report.page.gather import BENCHMARK
    from .processes import entry_point, load_chain, load_process

    process: Any = load_process(text)
    above = process
    while above is not None:
        if entry_point(above) == BENCHMARK:
            return above
        above = above.caller
    return load_chain(text)


def _picture(node: Any) -> bytes | None:
    """Return the figure of a chain as PNG, ``None`` if it cannot be drawn from what there is."""
    from tempfile import TemporaryDirectory

    from .processes import kind_of

    with TemporaryDirectory() as folder:
        try:
            return Path(kind_of(node).call('picture', node, Path(folder) / 'figure.png')).read_bytes()
        except (Refusal, ValueError, KeyError):
            return None
