"""``aiida-litraj setup``: profile, computer, and one code per environment, each proven by a probe."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .console import console, emit_json, print_table
from .errors import refusals
from .options import json_option

if TYPE_CHECKING:
    from ..codes.environment import Environment
    from ..codes.register import Registration
    from ..contract.potential import ProbeReport

TEMPLATES = ('slurm-gpu', 'slurm-cpu', 'workstation', 'local')


@click.command(short_help='Make profile, computer and codes, each proven by a probe.')
@click.option('--name', metavar='NAME', help='Name of the code, for example that of its potential family.')
@click.option(
    '--engine-python',
    metavar='PYTHON',
    help='Python that has the package of the potential; the engine ships with jobs.',
)
@click.option('--installed', metavar='PATH', help='Path of a litraj-engine on the computer, instead of shipping it.')
@click.option('--computer', metavar='LABEL', help='Computer of the code, one AiiDA knows.  [default: localhost]')
@click.option(
    '--prepend-text', metavar='SHELL', default='', help='Shell before the engine, for example: module load cuda'
)
@click.option('--family', 'families', metavar='FAMILY', multiple=True, help='A family that must be there. Repeatable.')
@click.option(
    '--from',
    'source',
    metavar='FILE',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='YAML file with computers and codes, instead of the options above.',
)
@click.option('--config', type=click.Path(exists=True, dir_okay=False, path_type=Path), hidden=True)
@click.option(
    '--template',
    type=click.Choice(TEMPLATES),
    is_flag=False,
    flag_value=TEMPLATES[0],
    help=f'Print a commented YAML file for --from and stop.  [without a name: {TEMPLATES[0]}]',
)
@click.option('--work-dir', metavar='PATH', help='Where jobs of a new localhost run.  [default: beside the profile]')
@click.option(
    '--poll-interval', type=click.FloatRange(min=0.0), metavar='S', help='Seconds between looks at jobs of localhost.'
)
@json_option
@click.pass_context
def setup(
    ctx: click.Context,
    name: str | None,
    engine_python: str | None,
    installed: str | None,
    computer: str | None,
    prepend_text: str,
    families: tuple[str, ...],
    source: Path | None,
    config: Path | None,
    template: str | None,
    work_dir: str | None,
    poll_interval: float | None,
    as_json: bool,
) -> None:
    """Make what a launch needs: a profile if there is none, a computer, and a code for each environment.

    Every environment is asked with a probe whether the engine runs there. Running the command again changes nothing
    that is as asked for; after an update of this plugin, or of a package that its probe names, it makes a new code
    under the same name.

    \b
    Examples:
      aiida-litraj setup --name sevennet --engine-python .venv-sevennet/bin/python
      aiida-litraj setup --name mace --engine-python ~/envs/mace/bin/python --computer cluster
      aiida-litraj setup --template slurm-gpu > cluster.yml
      aiida-litraj setup --from cluster.yml
    """
    if template:
        file = Path(__file__).with_name('templates') / f'{template}.yml'
        click.echo(file.read_text(encoding='utf-8'), nl=False)
        return
    source = source or config
    one_code = {'--engine-python': engine_python, '--installed': installed, '--family': families}
    given = [option for option, value in one_code.items() if value]
    if source is not None and (name or given):
        raise click.UsageError(f'--from and {"--name" if name else given[0]} exclude each other: put it into the file')
    if name is None and given:
        raise click.UsageError(f'{given[0]} {one_code[given[0]]!r} describes a code: give its name with --name')
    if name is not None and not (engine_python or installed):
        raise click.UsageError(f'the code {name!r} needs --engine-python PYTHON (or --installed PATH)')
    with refusals():
        from ..codes.computers import correct_unused, differences, ensure_computer, ensure_localhost
        from ..codes.configuration import Configuration, read_configuration
        from ..codes.environment import Environment
        from ..codes.profile import load_or_create
        from ..codes.write_ahead import write_ahead

        plan = read_configuration(source) if source is not None else Configuration()
        if name is not None:
            one = Environment(name, computer or 'localhost', engine_python, installed, prepend_text, families)
            plan = Configuration(environments=(one,))
        profile = load_or_create(ctx.find_root().obj)
        environments = plan.settled() if name is None else plan.environments
        report = _Report(as_json)
        report.profile(profile.name, profile.created, profile.folder, write_ahead())
        report.computer(*ensure_localhost(work_dir, poll_interval))
        for entry in plan.computers:
            corrected = correct_unused(entry)
            made, created = ensure_computer(entry)
            report.computer(made, created, [] if created else differences(made, entry), corrected)
        for environment in environments:
            with report.waiting(f'Asking the environment of {environment.name} on {environment.computer} ...'):
                registration, answer = _set_up(environment)
            report.code(registration, environment, answer)
        report.end()


def _set_up(environment: Environment) -> tuple[Registration, ProbeReport]:
    """Probe an environment and return its code with what was found."""
    from ..codes.computers import find_computer
    from ..codes.configuration import require_families, settle_python
    from ..codes.probe import probe_environment
    from ..codes.register import register

    computer = find_computer(environment.computer)
    environment = settle_python(environment, computer)
    answer = probe_environment(environment, computer)
    require_families(environment, answer)
    return register(environment, answer), answer


class _Report:
    """What the command says: sentences and a table, or one JSON object at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._content: dict[str, Any] = {'profile': None, 'computers': [], 'codes': []}
        self._real: list[str] = []
        self._meant: list[str] = []

    def _say(self, text: str) -> None:
        if not self._as_json:
            click.echo(text)

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        screen = console(stderr=True)
        if screen.is_terminal:
            with screen.status(text):
                yield
        else:
            yield

    def profile(self, name: str, created: bool, folder: str, ahead: bool | None) -> None:
        self._content['profile'] = {'name': name, 'created': created, 'folder': folder, 'write_ahead': ahead}
        self._say(f'Profile {name}: {"made in " + folder if created else "in use"}')
        if ahead is False:
            self._say(
                'Its SQLite file has no write-ahead log (it is in use just now, or on a network file system): on a '
                'busy machine the daemon may stop with "database is locked". Run setup again when nothing uses the '
                'profile, or take a local disk or PostgreSQL.'
            )

    def computer(
        self, computer: Any, created: bool, differs: Sequence[str] = (), corrected: Sequence[str] = ()
    ) -> None:
        about = {'label': computer.label, 'created': created, 'differs': list(differs), 'corrected': list(corrected)}
        self._content['computers'].append(about)
        place = f'{computer.hostname}, {computer.transport_type}, {computer.scheduler_type}, {computer.get_workdir()}'
        state = 'made' if created else 'changed' if corrected else 'in use as it is'
        self._say(f'Computer {computer.label}: {state} ({place})')
        for correction in corrected:
            self._say(f'  changed, as no job has run there: {correction}')
        for difference in differs:
            self._say(f'  not changed, as jobs ran there as it was: {difference}')
        if differs:
            self._say('  To have it as in the file, give it another label there.')

    def code(self, registration: Registration, environment: Environment, answer: ProbeReport) -> None:
        code = registration.code
        available = [family for family in answer.families if family.available]
        # A code that is called after a family is what was asked for, even if that is only an analytic one.
        self._real += [family.family for family in available if family.family not in ('toy', 'ase')]
        self._meant += [family.family for family in available if family.family == environment.name]
        self._content['codes'].append(
            {
                'name': environment.name,
                'pk': code.pk,
                'uuid': code.uuid,
                'state': registration.state,
                'hidden': registration.hidden_label,
                'options_changed': {name: list(pair) for name, pair in registration.options.items()},
                'computer': environment.computer,
                'engine_version': answer.engine_version,
                'devices': answer.devices,
                'families': {family.family: family.version for family in available},
                'names': {family.family: family.names for family in available},
            }
        )
        if self._as_json:
            return
        what = {
            'new': 'made',
            'same': 'the same, with other options of its jobs'
            if registration.options
            else 'nothing has changed, in use as it is',
            'replaced': f'engine, packages or settings have changed, the old code is now {registration.hidden_label}',
        }[registration.state]
        click.echo(f'Code {environment.name} on {environment.computer} (pk {code.pk}): {what}')
        for option, (before, now) in registration.options.items():
            click.echo(f'  {option}: {_value(before)} before, {_value(now)} now')
        _print_answer(answer)

    def end(self) -> None:
        from ..codes.potentials import list_potentials

        if self._as_json:
            emit_json(self._content)
            return
        if not self._content['codes']:
            self._say('\nNext, a code: aiida-litraj setup --name sevennet --engine-python .venv-sevennet/bin/python')
        elif not self._real and not self._meant:
            click.echo(
                '\nWarning: no environment has a potential beyond the analytic ones. Install a package there, '
                'for example sevenn, mace-torch or chgnet, and run this command again.',
                err=True,
            )
        else:
            family = (self._meant or self._real)[0]
            names = next((code['names'][family] for code in self._content['codes'] if code['names'].get(family)), [])
            name = f'--name {names[0]}' if names else '--file CHECKPOINT'
            imported = [node.label for node in list_potentials() if node.family == family]
            if imported:
                self._say(f'\nImported potentials of the family {family}: {", ".join(imported)}')
                self._say(f'Next: aiida-litraj launch barrier STRUCTURE --hop HOP --potential {imported[0]}')
                self._say(f'Or: aiida-litraj launch robustness --potential {imported[0]} --protocol quick')
            else:
                self._say(f'\nNext, a potential: aiida-litraj potential import --family {family} {name}')


def _value(value: Any) -> str:
    return 'nothing' if value is None else repr(value)


def _print_answer(answer: ProbeReport) -> None:
    """Print what an environment has."""
    click.echo(f'  Python {answer.python_version} ({answer.python}), engine {answer.engine_version}')
    click.echo(f'  Devices where it was asked: {"; ".join(answer.devices) or "none named"}')
    rows = []
    for family in answer.families:
        # What the analytic potentials stand on is numpy; its version would read as theirs.
        version = 'analytic' if family.family == 'toy' else family.version or 'yes'
        state = version if family.available else f'missing: pip install {family.package}'
        rows.append((family.family, state, ', '.join(family.names) if family.available else ''))
    print_table(None, ('family', 'version', 'packaged potentials'), rows)
