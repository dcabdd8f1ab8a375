"""``aiida-litraj setup-dft``: codes of electronic-structure programs, each run once, and pseudopotentials for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..report.words import counted
from .console import console, emit_json
from .errors import refusals
from .options import json_option

if TYPE_CHECKING:
    from ..codes.dft import DftAnswer, DftRequest
    from ..codes.pseudopotentials import FamilyState
    from ..codes.register import Registration


@click.command(
    'setup-dft', short_help='Make codes of DFT programs (GPAW, Quantum ESPRESSO) and their pseudopotentials.'
)
@click.option('--gpaw', metavar='PATH', help='The gpaw script, or the Python that has GPAW.  [default: looked for]')
@click.option('--pw', metavar='PATH', help='The program pw.x of Quantum ESPRESSO.  [default: looked for]')
@click.option('--ranks', type=click.IntRange(min=1), help='Processes of MPI; 1 needs no MPI.  [default: 1]')
@click.option('--computer', default='localhost', show_default=True, metavar='LABEL', help='One that AiiDA knows.')
@click.option(
    '--prepend-text', metavar='SHELL', default='', help='Shell before the program, for example: module load gpaw'
)
@click.option('--label', metavar='NAME', help='Of the code, if only one is set up.  [default: gpaw, pw]')
@click.option(
    '--pseudo-folder',
    type=click.Path(path_type=Path),
    help='Folder of UPF files on this machine, from which a family of pseudopotentials is made for pw.x.',
)
@click.option(
    '--functional', type=click.Choice(['PBE', 'PBEsol']), help='Of the pseudopotentials.', default='PBE',
    show_default=True,
)  # fmt: skip
@click.option(
    '--kind', type=click.Choice(['paw', 'us', 'nc']), help='Of the pseudopotentials.  [default: paw, then us, then nc]'
)
@click.option('--elements', metavar='LIST', help='Which have to be there, such as Li,O.  [default: all in the folder]')
@click.option('--pseudo-family', metavar='NAME', help='Of the family.  [default: like PBEsol-paw]')
@json_option
@click.pass_context
def setup_dft(ctx: click.Context, as_json: bool, **asked: Any) -> None:
    """Make what labels of a DFT code need: codes for GPAW and Quantum ESPRESSO, and pseudopotentials for the latter.

    Without --gpaw and --pw both are looked for, and what is there is taken. Each is run once as its jobs will be: a
    code is made only if it starts. Running the command again changes nothing that is as asked for.

    \b
    Examples:
      aiida-litraj setup-dft
      aiida-litraj setup-dft --pseudo-folder /usr/share/espresso/pseudo --functional PBEsol --elements Li,O
      aiida-litraj setup-dft --gpaw ~/envs/gpaw/bin/python --ranks 2
      aiida-litraj setup-dft --computer cluster --pw /opt/qe/bin/pw.x --ranks 32 --prepend-text 'module load qe'
    """
    if asked['label'] and bool(asked['gpaw']) == bool(asked['pw']):
        raise click.UsageError('--label names one code: give --gpaw or --pw with it')
    with refusals():
        from ..codes.computers import LOCALHOST, ensure_localhost
        from ..codes.profile import load_or_create
        from ..codes.write_ahead import write_ahead

        profile = load_or_create(ctx.find_root().obj)
        report = _Report(as_json)
        report.say(f'Profile {profile.name}: {"made in " + profile.folder if profile.created else "in use"}')
        write_ahead()
        if asked['computer'] == LOCALHOST:
            ensure_localhost()
        _codes(report, asked)
        if asked['pseudo_folder'] is not None:
            report.family(_family(asked))
    report.end()


def _codes(report: _Report, asked: dict[str, Any]) -> None:
    """Set up what is asked for, or what is found; with pseudopotentials alone nothing need be found.

    :raises SetupProblem: if what is asked for does not run, or nothing at all is found.
    """
    from ..codes import SetupProblem
    from ..codes.dft import PLUGINS, DftRequest, is_there, probe_dft, register_dft, require_plugin

    named = [kind for kind in PLUGINS if asked[kind]]
    family_alone = asked['pseudo_folder'] is not None and not (named or asked['ranks'] or asked['prepend_text'])
    problems = {}
    for kind in named or PLUGINS:
        request = DftRequest(
            kind, asked['computer'], asked[kind], asked['ranks'] or 1, asked['prepend_text'], asked['label']
        )
        if family_alone and is_there(request):  # as it was asked for earlier, with so many ranks
            continue
        try:
            require_plugin(kind)
            with report.waiting(f'Running {kind} once on {request.computer} ...'):
                answer = probe_dft(request)
            made = register_dft(request, answer)
        except SetupProblem as problem:
            if named:
                raise
            problems[kind] = problem
            continue
        report.code(made, request, answer)
    if len(problems) == len(PLUGINS) and asked['pseudo_folder'] is None:
        raise SetupProblem(' And '.join(problem.message for problem in problems.values()), problems['gpaw'].remedy)
    for problem in problems.values():
        report.note(f'Not set up: {problem.message}')


def _family(asked: dict[str, Any]) -> FamilyState:
    """Return the family of the folder.

    :raises SetupProblem: if an element is missing, or the family has other pseudopotentials already.
    """
    from ..codes.dft import require_plugin
    from ..codes.pseudopotentials import choose_files, default_label, install_family

    require_plugin('pw')
    elements = asked['elements'].replace(',', ' ').split() if asked['elements'] else None
    choice = choose_files(asked['pseudo_folder'].expanduser(), asked['functional'], asked['kind'], elements)
    return install_family(asked['pseudo_family'] or default_label(asked['functional'], choice), choice)


class _Report:
    """What the command says: sentences, or one JSON object at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._content: dict[str, Any] = {'codes': [], 'family': None, 'notes': []}

    def say(self, text: str) -> None:
        if not self._as_json:
            click.echo(text)

    def note(self, text: str) -> None:
        self._content['notes'].append(text)
        self.say(text)

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        screen = console(stderr=True)
        if screen.is_terminal:
            with screen.status(text):
                yield
        else:
            yield

    def code(self, made: Registration, request: DftRequest, answer: DftAnswer) -> None:
        self._content['codes'].append(
            {
                'label': made.code.full_label,
                'pk': made.code.pk,
                'uuid': made.code.uuid,
                'state': made.state,
                'hidden': made.hidden_label,
                'plugin': made.code.default_calc_job_plugin,
                'executable': answer.executable,
                'version': answer.version,
                'ranks': answer.ranks,
                'mpi_tried': answer.mpi_tried,
                'setups': dict(answer.setups),
                'setups_sha256': answer.setups_sha256 or None,
            }
        )
        state = {
            'new': 'made',
            'same': 'nothing has changed, in use as it is',
            'replaced': f'version, set-ups or settings have changed, the old code is now {made.hidden_label}',
        }[made.state]
        how = f'{answer.ranks} ranks of MPI' if answer.ranks > 1 else 'one process'
        how += '' if answer.mpi_tried else f' (MPI was not tried: {request.computer} has a queue)'
        self.say(f'Code {made.code.full_label} (pk {made.code.pk}): {state}')
        self.say(f'  {answer.executable}, version {answer.version}, {how}')
        if request.kind == 'gpaw':
            of = ', '.join(f'{key} {counted(len(value), "element")}' for key, value in answer.setups.items())
            self.say(f'  PAW set-ups: {of or "none; install them: gpaw install-data FOLDER"}')

    def family(self, made: FamilyState) -> None:
        chosen = {element: file.path.name for element, file in made.choice.chosen.items()}
        label = made.family.label
        self._content['family'] = {
            'label': label,
            'uuid': made.family.uuid,
            'state': made.state,
            'chosen': chosen,
            'passed_over': made.choice.passed_over,
            'unread': made.choice.unread,
        }
        state = {'new': 'made', 'same': 'nothing has changed', 'extended': 'got more elements'}[made.state]
        self.say(f'Pseudopotential family {label}: {state}, {counted(len(chosen), "element")}')
        for element, name in chosen.items():
            others = made.choice.passed_over.get(element, [])
            self.say(f'  {element:2} {name}{"; passed over: " + ", ".join(others) if others else ""}')

    def end(self) -> None:
        if self._as_json:
            emit_json(self._content)
            return
        family = self._content['family']
        plugins = {code['plugin']: code['label'] for code in self._content['codes']}
        gpaw, pw = plugins.get('ase.ase'), plugins.get('quantumespresso.pw')
        if pw and family is None:
            self.say(
                '\nNext for pw.x, pseudopotentials: aiida-litraj setup-dft --pseudo-folder FOLDER --functional PBE'
            )
            self.say('With a network: aiida-pseudo install sssp --functional PBE')
        if gpaw:
            self.say(f'\nNext: aiida-litraj launch label Li2S.cif --code {gpaw}')
            self.say(
                'For relaxations and paths on GPAW, its Python with the engine, once: examples/environment.sh gpaw'
            )
            self.say('  aiida-litraj setup --name gpaw-engine --engine-python .venv-gpaw/bin/python')
        elif pw and family is not None:
            self.say(f'\nNext: aiida-litraj launch label Li2O.cif --code {pw} --pseudo-family {family["label"]}')
