"""Codes of electronic-structure programs: found on a computer, run once there, and made if they are new."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from ..calculations.validation import DFT_EXTRA
from .computers import find_computer
from .probe import ask_computer
from .problems import SetupProblem
from .register import NAME, OPTIONS, Registration, require_free, retire

if TYPE_CHECKING:
    from aiida.orm import AbstractCode, Computer

PLUGINS = {'gpaw': 'ase.ase', 'pw': 'quantumespresso.pw'}
"""What is set up here -> the calculation that runs it."""
TITLES = {'gpaw': 'GPAW', 'pw': 'pw.x of Quantum ESPRESSO'}
_NEEDS = {'gpaw': ('aiida_ase', 'aiida-ase'), 'pw': ('aiida_quantumespresso', 'aiida-quantumespresso')}
_CANDIDATES = {'gpaw': ('gpaw', 'python3', '/usr/bin/python3'), 'pw': ('pw.x',)}
_REMEDIES = {
    'gpaw': 'Install it (Debian: apt install gpaw gpaw-data; conda install -c conda-forge gpaw) and give --gpaw PATH, '
    'the gpaw script or the Python that has it; modules to load first go into --prepend-text.',
    'pw': 'Install it (Debian: apt install quantum-espresso; conda install -c conda-forge qe) and give --pw PATH; '
    'modules to load first go into --prepend-text.',
}
TIMEOUT_S = 120
"""How long a program may take to start and tell its version; over it, it waits for something that does not come."""
DIRECT = 'core.direct'
"""Scheduler of a computer whose jobs run where it is asked. Elsewhere that is a login node, where no MPI is run."""
_MARK, _SCRIPT, _QUESTION = 'litraj:', 'probe.sh', 'question.sh'
_GPAW_QUESTION = """\
import glob, hashlib, json, os, sys, gpaw
from gpaw.mpi import world
if world.rank == 0:
    found, first = {}, {}
    for folder in gpaw.setup_paths:
        for path in glob.glob(os.path.join(folder, '*')):
            name = os.path.basename(path)
            parts = name.split('.')
            if parts[2:] in ([], ['gz']) and parts[1:2] in (['PBE'], ['LDA']):
                found.setdefault(parts[1], set()).add(parts[0])
            if 'basis' not in parts and os.path.isfile(path):
                first.setdefault(name, path)
    digest = hashlib.sha256()
    for name in sorted(first):
        with open(first[name], 'rb') as file:
            digest.update(name.encode() + hashlib.sha256(file.read()).digest())
    setups = {key: sorted(value) for key, value in found.items()}
    said = {'version': gpaw.__version__, 'ranks': world.size, 'setups': setups, 'setups_sha256': digest.hexdigest()}
    print('litraj:', json.dumps(said))
"""
"""Of each set-up the file that GPAW finds first counts; basis sets of atomic orbitals are not used by plane waves."""


@dataclass(frozen=True)
class DftRequest:
    """What to set up.

    :ivar kind: ``gpaw`` or ``pw``.
    :ivar executable: as the computer finds it; None: what is usual.
    :ivar ranks: processes of MPI; 1 is without ``mpirun``.
    :ivar prepend_text: lines of shell before the program.
    """

    kind: str
    computer: str = 'localhost'
    executable: str | None = None
    ranks: int = 1
    prepend_text: str = ''
    label: str | None = None

    @property
    def name(self) -> str:
        """Label of the code."""
        return self.label or self.kind


@dataclass(frozen=True)
class DftAnswer:
    """What was found: ``executable`` with its whole path, ``version``, and for GPAW the elements with PAW set-ups.

    :ivar setups_sha256: of the files of all set-ups, names and contents; nothing where the program has none.
    :ivar mpi_tried: whether so many ranks were started, or one alone, for the jobs run elsewhere.
    """

    executable: str
    version: str
    ranks: int
    script: str = ''
    setups: Mapping[str, list[str]] = field(default_factory=dict)
    setups_sha256: str = ''
    mpi_tried: bool = True


def require_plugin(kind: str) -> None:
    """Refuse a program whose AiiDA plugin is not installed.

    :raises SetupProblem: naming the package.
    """
    import importlib.util

    module, package = _NEEDS[kind]
    if importlib.util.find_spec(module) is None:
        raise SetupProblem(
            f'{TITLES[kind]} is run by {package}, which is not installed',
            'Install it: pip install "aiida-litraj[dft]"',
        )


def probe_dft(request: DftRequest) -> DftAnswer:
    """Return what a program says of itself when it is run on its computer, as its jobs will be.

    Where there is a queue one process is started alone, for that is a login node: MPI is not tried there.

    :raises SetupProblem: if it is not there, does not start in time, or MPI does not start as many ranks as asked for.
    """
    computer = find_computer(request.computer)
    script = _shell(request, computer)
    tried = request.ranks if computer.scheduler_type == DIRECT else 1
    lines = [computer.get_prepend_text(), script, _question(request, computer, tried)]
    question = '\n'.join([*filter(str.strip, lines), '']).encode()
    answer = ask_computer(computer, {_SCRIPT: _bounded().encode(), _QUESTION: question})
    told = [line[len(_MARK) :].strip() for line in answer.stdout.splitlines() if line.startswith(_MARK)]
    if 'no answer' in told:
        raise SetupProblem(
            f'{TITLES[request.kind]} gave no answer on the computer {request.computer!r} within {TIMEOUT_S} s, and was '
            'stopped',
            'Try it there by hand: a module that asks, a licence or a file system may keep it waiting; what it needs '
            'before it goes into --prepend-text.',
        )
    executable = next((line.removeprefix('executable ') for line in told if line.startswith('executable ')), None)
    if executable is None:
        wanted = request.executable or ' or '.join(_CANDIDATES[request.kind])
        raise SetupProblem(
            f'there is no {TITLES[request.kind]} on the computer {request.computer!r}: looked for {wanted}',
            _REMEDIES[request.kind],
        )
    found = _read_gpaw(told) if request.kind == 'gpaw' else _read_pw(answer.stdout)
    if found is None:
        every = [*answer.stderr.splitlines(), *answer.stdout.splitlines()]
        said = [line.strip() for line in every if re.search('[A-Za-z]{3}', line) and not line.startswith(_MARK)]
        words = ' '.join(said[:3]) or 'no output'
        how = f'with {tried} ranks of MPI ' if tried > 1 else ''
        raise SetupProblem(
            f'{executable} does not start {how}on the computer {request.computer!r}: {words}',
            f'Try it there by hand; what it needs before it goes into --prepend-text. {_REMEDIES[request.kind]}',
        )
    if found.ranks != tried:
        raise SetupProblem(
            f'{executable} was started with {tried} ranks and runs with {found.ranks}: it is of another MPI than '
            'mpirun, or of none',
            'Load the module of its MPI with --prepend-text, or take --ranks 1.',
        )
    return replace(found, executable=executable, ranks=request.ranks, script=script, mpi_tried=tried == request.ranks)


def _bounded() -> str:
    """Return the lines of shell that ask the question and stop it in time, where there is the usual program for it."""
    return (
        f'limit=; command -v timeout >/dev/null && limit="timeout -k 5 {TIMEOUT_S}"\n'
        f'$limit bash {_QUESTION} </dev/null\nstatus=$?\n'
        # 124: it has ended when it was told to; 137: it had to be killed.
        f'[ -n "$limit" ] && case $status in 124|137) echo "{_MARK} no answer";; esac\nexit $status\n'
    )


def _question(request: DftRequest, computer: Computer, ranks: int) -> str:
    """Return the lines of shell that find the program and run it once."""
    names = [request.executable] if request.executable else _CANDIDATES[request.kind]
    start = '' if ranks == 1 else shlex.join(_mpirun(computer, ranks)) + ' '
    if request.kind == 'pw':
        test, run = 'true', f'{start}"$found" -in /dev/null </dev/null 2>&1; true'
    else:
        code = shlex.quote(_GPAW_QUESTION)
        # The script takes a file after "python", the module the same; neither takes -c in all versions.
        test = 'case $found in *gpaw) true;; *) "$found" -c "import gpaw" 2>/dev/null;; esac'
        run = (
            f'printf %s {code} >question.py; case $found in *gpaw) {start}"$found" python question.py;; '
            f'*) {start}"$found" -m gpaw python question.py;; esac'
        )
    listed = ' '.join(shlex.quote(name) for name in names)
    return (
        f'for name in {listed}; do found=$(command -v "$name") && {{ {test}; }} && break; found=; done\n'
        f'[ -n "$found" ] || exit 127\necho "{_MARK} executable $found"\n{run}'
    )


def _mpirun(computer: Computer, ranks: int) -> list[str]:
    known = {'tot_num_mpiprocs': ranks, 'num_machines': 1, 'num_mpiprocs_per_machine': ranks}
    return [part.format(**known) for part in computer.get_mpirun_command()]


def _shell(request: DftRequest, computer: Computer) -> str:
    """Return the lines of shell before the program in every job: one thread each, and Open MPI even for root."""
    lines = [request.prepend_text.rstrip()] if request.prepend_text.strip() else []
    lines.append('export OMP_NUM_THREADS=1')
    if request.ranks > 1 and _is_root(computer):
        lines.append('export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1')
    return '\n'.join(lines)


def _is_root(computer: Computer) -> bool:
    return ask_computer(computer, {_SCRIPT: b'id -u\n'}).stdout.split()[-1:] == ['0']


def _read_gpaw(told: list[str]) -> DftAnswer | None:
    said = next((line for line in told if line.startswith('{')), None)
    if said is None:
        return None
    content = json.loads(said)
    return DftAnswer('', **content)


def _read_pw(stdout: str) -> DftAnswer | None:
    versions = re.findall(r'Program PWSCF v\.?(\S+) starts', stdout)
    if not versions:
        return None
    ranks = re.search(r'(?:running on|Number of MPI processes:)\s+(\d+)', stdout)
    return DftAnswer('', versions[0], int(ranks[1]) if ranks else 1)


def register_dft(request: DftRequest, answer: DftAnswer) -> Registration:
    """Return the code of a program, making it only if there is none with the same settings and version.

    A code of the same name with other settings keeps its jobs but gets another label and is hidden.

    :raises SetupProblem: if another code has that label which was not set up so.
    """
    from aiida.orm import InstalledCode

    computer = find_computer(request.computer)
    # Version and set-ups are in the shell, and so in the hash: no job of one is taken from the cache of another.
    told = f'{request.kind} {re.sub(r"[^A-Za-z0-9._+-]", "_", answer.version)}'
    told += f', set-ups {answer.setups_sha256[:12]}' if answer.setups_sha256 else ''
    shell = f'# litraj: {told}\n{answer.script}'
    settings = {
        'default_calc_job_plugin': PLUGINS[request.kind],
        'filepath_executable': answer.executable,
        'prepend_text': shell,
        'with_mpi': request.ranks > 1,
    }
    earlier = _named(request, computer)
    other = f'--{request.kind} {shlex.quote(answer.executable)} --label {request.name}-dft'
    require_free(request.name, earlier, other, computer)
    same = next(
        (code for code in earlier if all(str(getattr(code, key)) == str(value) for key, value in settings.items())),
        None,
    )
    current = next((code for code in earlier if code.label == request.name and not code.is_hidden), None)
    hidden = None
    if current is not None and (same is None or current.pk != same.pk):
        hidden = retire(current, request.name)
    if same is None:
        description = f'{TITLES[request.kind]} {answer.version} on {computer.label}'
        code = InstalledCode(label=request.name, computer=computer, description=description, **settings).store()
        state = 'new' if current is None else 'replaced'
    else:
        code, state = same, 'same' if current is not None and current.pk == same.pk else 'replaced'
        code.label, code.is_hidden = request.name, False
    code.base.extras.set_many(
        {
            NAME: request.name,
            OPTIONS: {'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': request.ranks}},
            DFT_EXTRA: {
                'version': answer.version,
                'ranks': answer.ranks,
                'setups': dict(answer.setups),
                'setups_sha256': answer.setups_sha256,
            },
        }
    )
    return Registration(code, state, hidden)


def is_there(request: DftRequest) -> bool:
    """Return whether the code exists, whatever it was set up with."""
    earlier = _named(request, find_computer(request.computer))
    return any(code.label == request.name and not code.is_hidden for code in earlier)


def _named(request: DftRequest, computer: Computer) -> list[Any]:
    """Return the codes of a program on a computer set up under a name, the newest first."""
    from aiida.orm import Computer as Computers
    from aiida.orm import InstalledCode, QueryBuilder

    query = QueryBuilder().append(Computers, filters={'id': computer.pk}, tag='computer')
    filters: list[dict[str, Any]] = [
        {'extras': {'has_key': DFT_EXTRA}},
        {'attributes.input_plugin': PLUGINS[request.kind]},
        {'or': [{f'extras.{NAME}': request.name}, {'label': request.name}]},
    ]
    query.append(InstalledCode, filters={'and': filters}, with_computer='computer', project='*', tag='code')
    return query.order_by({'code': {'id': 'desc'}}).all(flat=True)


def list_dft_codes() -> list[AbstractCode]:
    """Return the codes of all plugins that give labels, those replaced by newer ones left out, by their labels."""
    from aiida.orm import AbstractCode, QueryBuilder

    query = QueryBuilder().append(AbstractCode, filters={'attributes.input_plugin': {'in': plugins_of_labels()}})
    return sorted((code for code in query.all(flat=True) if not code.is_hidden), key=lambda code: code.full_label)


def plugins_of_labels() -> list[str]:
    """Return the entry points of the calculations that give labels, of all back ends."""
    from ..workflows.backends import known, load

    return [plugin for name in known() for plugin in load(name).plugins]


def choose_dft_code(name: str | None) -> AbstractCode:
    """Return the code called ``name`` (label, ``label@computer``, pk or uuid), or the only one that gives labels.

    :raises SetupProblem: if there is none, or several fit.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import load_code

    codes = list_dft_codes()
    labels = ', '.join(code.full_label for code in codes)
    if name is not None:
        try:
            code = load_code(name)
        except (NotExistent, MultipleObjectsError, ValueError) as error:
            close = get_close_matches(name, [one for code in codes for one in (code.label, code.full_label)], n=1)
            raise SetupProblem(
                f'there is no code {name!r} (that give labels: {labels or "none yet"})',
                f'Did you mean {close[0]}?' if close else 'Make one with: aiida-litraj setup-dft',
            ) from error
        if (code.default_calc_job_plugin or '').startswith('litraj.'):
            raise SetupProblem(
                f'the code {code.full_label} runs potentials, and gives no labels',
                f'Codes that do: {labels}.' if labels else 'Make one that does: aiida-litraj setup-dft',
            )
        return code
    if not codes:
        raise SetupProblem('there is no code that gives labels', 'Make one with: aiida-litraj setup-dft')
    if len(codes) > 1:
        raise SetupProblem(f'several codes give labels: {labels}', 'Choose one with --code NAME.')
    return codes[0]
