"""What a person wants of a site in the site's own words: GPUs, modules, an account; and what becomes of it in a job.

Everything here ends in a header of a batch script or in lines of shell, so that nothing passes that could be more than
one word of them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PositiveFloat, PositiveInt, ValidationError

from ..calculations.base import RUNTIME_OPTIONS
from ..calculations.validation import explain
from ..contract.base import Model
from ..usage.allocation import asks_for_gpus
from .problems import SetupProblem
from .times import seconds_in

SLURM, DIRECT = 'core.slurm', 'core.direct'
GPUS_OPTION = 'gpus'
"""Option of a job: how many GPUs it uses, with a process for each."""
NOT_BROUGHT = re.compile(r'^litraj: (the (?:conda environment|modules) .* could not be (?:activated|loaded))$', re.M)
"""What a job says, before its engine, of an environment that it did not get."""
CONFIGURATION_ERROR = 78
"""Exit status of such a job, EX_CONFIG of sysexits.h."""
_KIND = re.compile(r'[\w.-]+')
_OWN_CONSTRAINT = re.compile(r'(?<!\S)(?:--constraint[= ]|-C)')
_OWN_TASKS = re.compile(r'(?<!\S)(?:--ntasks[= ]|-n[= \d])')
_WORD = re.compile(r"[^\s'\"`$\\;]+")


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError('one word is wanted, without blanks, quotes, $, ; or backslashes: it goes into a batch script')
    return text


def _kind(text: str) -> str:
    if not _KIND.fullmatch(text):
        raise ValueError('the name of a type is wanted, as the site calls it (a100); how many goes into count')
    return text


def _line(text: str) -> str:
    if not text.strip() or any(character in text for character in '\n\r\0'):
        raise ValueError('a name on one line is wanted')
    return text


def _seconds(value: Any) -> Any:
    """Return a time in seconds where it is written as a text."""
    return seconds_in(value) if isinstance(value, str) else value


def _list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Word = Annotated[str, AfterValidator(_word)]
Kind = Annotated[str, AfterValidator(_kind)]
Line = Annotated[str, AfterValidator(_line)]


class Gpus(Model):
    """GPUs of a job.

    ``request`` is how the site wants them asked for; by default ``gres`` with Slurm, and nothing where there is no
    queue. ``none`` asks for nothing: the partition brings the GPU along.
    """

    request: Literal['gres', 'gpus', 'gpus-per-task', 'gpus-per-node', 'none'] | None = None
    type: Kind | None = None
    count: PositiveInt = 1
    constraint: Word | None = None

    def lines(self, request: str) -> list[str]:
        """Return the lines of the header of a batch script of Slurm."""
        amount = f'{self.type}:{self.count}' if self.type else str(self.count)
        said = {
            'gres': [f'--gres=gpu:{amount}'],
            # Slurm refuses GPUs per task without a number of tasks; the engine is one, and starts its processes itself.
            'gpus-per-task': ['--ntasks=1', f'--gpus-per-task={amount}'],
            'gpus': [f'--gpus={amount}'],
            'gpus-per-node': [f'--gpus-per-node={amount}'],
            'none': [],
        }[request]
        constraint = [f'--constraint={self.constraint}'] if self.constraint else []
        return [f'#SBATCH {line}' for line in [*said, *constraint]]


class Asked(Model):
    """What an entry of a code asks of its site, beside the raw ``options`` and ``prepend_text``."""

    gpus: Gpus | None = None
    modules: Annotated[tuple[Line, ...], BeforeValidator(_list)] = ()
    conda: Line | None = None
    account: Word | None = None
    partition: Word | None = None
    qos: Word | None = None
    walltime: Annotated[int | None, BeforeValidator(_seconds), Field(ge=60)] = None
    cores: PositiveInt | None = None
    memory_gib: PositiveFloat | None = None

    @property
    def load_modules(self) -> str:
        """Lines of shell that load the modules, every name in quotes, or end the job."""
        if not self.modules:
            return ''
        names = ' '.join(map(shlex.quote, self.modules))
        give_up = _give_up(f'the modules {" ".join(self.modules)} could not be loaded')
        return f'module load {names} || {give_up}'

    @property
    def activate_conda(self) -> str:
        """Lines of shell that activate the environment of conda, its name in quotes, or end the job."""
        if self.conda is None:
            return ''
        # A batch job has not been through the start-up file in which conda puts its function.
        activate = f'conda activate {shlex.quote(self.conda)}'
        give_up = _give_up(f'the conda environment {self.conda} could not be activated')
        return f'. "$(conda info --base)/etc/profile.d/conda.sh"\n{activate} || {give_up}'

    def options(self, scheduler: str, raw: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return ``metadata.options`` of the jobs of a code: what the fields say, and what ``raw`` says beside it.

        :raises SetupProblem: if the scheduler has no such thing, or the same is said twice.
        """
        said: dict[str, Any] = {
            'account': self.account,
            'queue_name': self.partition,
            'qos': self.qos,
            'max_wallclock_seconds': self.walltime,
            'max_memory_kb': None if self.memory_gib is None else round(self.memory_gib * 2**20),
            'resources': None
            if self.cores is None
            else {'num_machines': 1, 'num_mpiprocs_per_machine': 1, 'num_cores_per_mpiproc': self.cores},
        }
        said = {key: value for key, value in said.items() if value is not None}
        self._check_scheduler(scheduler, name)
        if scheduler == DIRECT and self.memory_gib is not None:
            raise SetupProblem(
                f'memory_gib = {self.memory_gib!r} of the code {name!r} wants a queue: the scheduler {DIRECT} of its '
                'computer limits no memory',
                'Leave it out, or give the computer a queue that keeps to limits.',
            )
        for key in set(said) & set(raw):
            if said[key] != raw[key]:
                raise SetupProblem(
                    f'the code {name!r} says options.{key} = {raw[key]!r}, and {said[key]!r} by a field of its own',
                    'Leave one of the two out.',
                )
        options = {**said, **raw}
        if self.gpus is not None:
            options |= self._gpu_options(self.gpus, scheduler, raw, name)
        return options

    def _check_scheduler(self, scheduler: str, name: str) -> None:
        if scheduler == DIRECT:
            queued = [field for field in ('account', 'partition', 'qos') if getattr(self, field) is not None]
            if queued:
                raise SetupProblem(
                    f'{queued[0]} = {getattr(self, queued[0])!r} of the code {name!r} wants a queue, and its computer '
                    f'has the scheduler {DIRECT}, which has none',
                    f'Leave it out, or give the computer a queue: scheduler: {SLURM}',
                )

    @staticmethod
    def _gpu_options(gpus: Gpus, scheduler: str, raw: Mapping[str, Any], name: str) -> dict[str, Any]:
        request = gpus.request or ('gres' if scheduler == SLURM else 'none')
        lines = gpus.lines(request)
        if lines and scheduler != SLURM:
            raise SetupProblem(
                f'gpus of the code {name!r} are asked for by {lines[-1].removeprefix("#SBATCH ")!r}, and the scheduler '
                f'of its computer is {scheduler}, not {SLURM}',
                'Say gpus: {request: none}, and what this scheduler wants in options: {custom_scheduler_commands: ...}',
            )
        own = str(raw.get('custom_scheduler_commands') or '')
        said_twice = {
            'GPUs': request != 'none' and asks_for_gpus(own),
            'constraints': gpus.constraint is not None and _OWN_CONSTRAINT.search(own),
            'numbers of tasks': request == 'gpus-per-task' and _OWN_TASKS.search(own),
        }
        for what, twice in said_twice.items():
            if twice:
                raise SetupProblem(
                    f'{what} of the code {name!r} are asked for twice, by gpus and by '
                    f'options.custom_scheduler_commands = {own!r}',
                    'Leave one of the two out.',
                )
        processes = _processes(raw.get('resources') or {})
        if request == 'gpus-per-task' and processes > 1:
            raise SetupProblem(
                f'gpus of the code {name!r} are asked for by task, and options.resources ask for {processes} processes',
                'The engine is one task, and starts its processes itself: leave resources out, and say cores: N.',
            )
        commands = '\n'.join([*lines, *filter(None, [own.strip()])])
        options: dict[str, Any] = {'custom_scheduler_commands': commands} if commands else {}
        options['device'] = raw.get('device', 'cuda')
        if gpus.count > 1 and GPUS_OPTION in RUNTIME_OPTIONS:
            options.setdefault(GPUS_OPTION, raw.get(GPUS_OPTION, gpus.count))
        return options


def _give_up(why: str) -> str:
    """Return shell that ends a job: in another environment than the one asked for it would compute something else."""
    return f'{{ echo {shlex.quote(f"litraj: {why}")} >&2; exit {CONFIGURATION_ERROR}; }}'


def _processes(resources: Mapping[str, Any]) -> int:
    machines, each = resources.get('num_machines') or 1, resources.get('num_mpiprocs_per_machine') or 1
    return int(resources.get('tot_num_mpiprocs') or machines * each)


def seconds_of(value: Any, name: str) -> Any:
    """Return a time among raw options in seconds, as a walltime may be written.

    :raises SetupProblem: if it is a text that is no time.
    """
    try:
        return _seconds(value)
    except ValueError as error:
        raise SetupProblem(f'{name} = {value!r} is no time', f'{error}'.capitalize() + '.') from error


FIELDS = tuple(Asked.model_fields)


def read_asked(entry: Mapping[str, Any], name: str) -> Asked:
    """Return what the fields of an entry ask for; the others are not looked at.

    :param name: what the entry is to the one who wrote it, such as ``the code 'sevennet'``.
    :raises SetupProblem: naming each field that is not as it should be, of unknown ones the nearest known.
    """
    values = {key: value for key, value in entry.items() if key in FIELDS and value is not None}
    try:
        return Asked.model_validate(values)
    except ValidationError as error:
        raise SetupProblem(
            f'in {name}: {explain(error, "", Asked).replace("; .", "; ").removeprefix(".")}',
            'Commented templates: aiida-litraj setup --template slurm-gpu',
        ) from error
