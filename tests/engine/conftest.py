"""Job folders as the plugin would write them, and what the tests of the engine share."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
import pytest
from ase.constraints import FixAtoms

from aiida_litraj.contract import NebItem, NebJob, NebParameters, PotentialSpec, Runtime, files, unpack_arrays
from aiida_litraj.contract.arrays import Array, pack_arrays
from aiida_litraj.contract.neb import NebItemResult, NebResult
from aiida_litraj.engine import batch as batch_module
from aiida_litraj.engine.core.stages import Demand, Evaluated
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.models import Configuration, Evaluation, load
from aiida_litraj.engine.run import run

from . import hops
from .hops import Hop, Saddle


def _parameters(**changes: Any) -> NebParameters:
    """Tight parameters; a dictionary changes only the fields it names, for ``ends`` those of both."""
    relax = {'optimizer': 'lbfgs', 'fmax_ev_per_ang': 1e-3, 'criterion': 'norm', 'max_steps': 500}
    ends = changes.pop('ends', {})
    values: dict[str, Any] = {
        'source': relax | ends,
        'target': relax | ends,
        'initial_path': 'linear',
        'band': {
            'optimizer': 'lbfgs',
            'fmax_ev_per_ang': 1e-3,
            'criterion': 'norm',
            'max_steps': 500,
            'spring_constant_ev_per_ang2': 5.0,
            'climb': True,
            'climb_below_ev_per_ang': None,
        },
        'acceptance': {'fmax_ev_per_ang': 1e-2, 'criterion': 'norm'},
        'hop_tolerance_ang': 1.0,
        'end_tolerance_ang': None,
        'max_force_ev_per_ang': 1000.0,
        'dtype': 'native',
        'verify_saddle': None,
        'seed': 0,
    }
    for name, value in changes.items():
        values[name] = values[name] | value if isinstance(values[name], dict) else value
    return NebParameters.model_validate(values)


def _write_job(
    folder: Path,
    paths: Mapping[str, Hop],
    parameters: NebParameters | Mapping[str, Any] | None = None,
    potential: str = 'morse',
    options: Mapping[str, float] | None = None,
    runtime: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``job.json`` and ``arrays.npz`` into ``folder`` and return it; ``parameters`` may be changes alone."""
    if not isinstance(parameters, NebParameters):
        parameters = _parameters(**(parameters or {}))
    folder.mkdir(parents=True, exist_ok=True)
    job = NebJob(
        potential=PotentialSpec(family='toy', name=potential, options=dict(options or {})),
        parameters=parameters,
        runtime=Runtime(**(runtime or {})),
        items=[NebItem(id=name, mobile=hop.mobile) for name, hop in paths.items()],
    )
    arrays = {f'{name}/{key}': value for name, hop in paths.items() for key, value in hop.arrays.items()}
    (folder / files.JOB).write_text(job.model_dump_json(indent=1))
    (folder / files.ARRAYS).write_bytes(pack_arrays(arrays))
    return folder


@dataclass(frozen=True)
class Ran:
    """What a run has left behind."""

    folder: Path
    result: NebResult
    arrays: dict[str, Any]

    def __getitem__(self, name: str) -> NebItemResult:
        return next(item for item in self.result.items if item.id == name)

    def energies(self, name: str) -> Array:
        found: Array = self.arrays[f'{name}/energies']
        return found

    def barrier(self, name: str) -> float:
        energies = self.energies(name)
        return float(energies.max() - energies[0])

    @property
    def calls(self) -> int:
        assert self.result.audit is not None
        return self.result.audit.model_calls

    @property
    def resumed_calls(self) -> int:
        assert self.result.audit is not None
        return self.result.audit.resumed_calls


def _read(folder: Path) -> Ran:
    result = NebResult.model_validate_json((folder / files.RESULT).read_bytes())
    return Ran(folder, result, unpack_arrays(folder / files.RESULT_ARRAYS))


def _drive(stage: Generator[Demand, Evaluated, Any], evaluate: Callable[[Array], Evaluation]) -> Any:
    """Return the outcome of a stage whose every demand is answered by ``evaluate``, one image after the other."""
    demand = next(stage)
    while True:
        answers = [evaluate(positions) for positions in demand.positions]
        evaluated = Evaluated(np.array([a.energy for a in answers]), np.array([a.forces for a in answers]))
        try:
            demand = stage.send(evaluated)
        except StopIteration as stop:
            return stop.value


@pytest.fixture(scope='session')
def vacancy_hop() -> Callable[..., Hop]:
    return hops.vacancy_hop


@pytest.fixture(scope='session')
def surface_hop() -> Callable[..., Hop]:
    return hops.surface_hop


@pytest.fixture(scope='session')
def vacancy_fan() -> Callable[..., dict[str, Hop]]:
    return hops.vacancy_fan


@pytest.fixture(scope='session')
def fan(vacancy_hop: Any, vacancy_fan: Any) -> dict[str, Any]:
    """Three hops into one vacancy: they share their source, with the atoms in three orders."""
    return vacancy_fan(vacancy_hop(n_images=4), (0, 2, 3))


@pytest.fixture(scope='session')
def neb_parameters() -> Callable[..., NebParameters]:
    return _parameters


@pytest.fixture(scope='session')
def drive() -> Callable[..., Any]:
    return _drive


@pytest.fixture(scope='session')
def toy() -> Callable[..., Callable[[Hop], Callable[[Array], Evaluation]]]:
    """``toy(name, **options)(hop)(positions)`` is the evaluation of the atoms of a hop at other positions."""

    def make(name: str = 'morse', **options: float) -> Callable[[Hop], Callable[[Array], Evaluation]]:
        evaluator = load(PotentialSpec(family='toy', name=name, options=options), Path.cwd(), device='cpu')

        def of(hop: Hop) -> Callable[[Array], Evaluation]:
            return lambda p: evaluator.evaluate([Configuration(hop.numbers, p, hop.cell, hop.pbc)])[0]

        return of

    return make


@pytest.fixture(scope='session')
def vacancy_saddle(toy: Any) -> Saddle:
    """The saddle of the Morse vacancy hop, by symmetry: the ion half way, everything else relaxed around it.

    The mirror plane half way makes the force along the hop vanish there, and it stays in the plane while the rest
    is minimised, so this needs neither a band nor a saddle search.
    """
    hop = hops.vacancy_hop(n_images=5)
    evaluate = toy('morse')(hop)
    along = np.zeros_like(hop.positions[0])
    along[0] = hop.positions[-1, 0] - hop.positions[0, 0]
    along /= np.linalg.norm(along)
    minimum, lowest = hops.minimise(evaluate, hop.positions[0], np.zeros_like(along))
    positions, highest = hops.minimise(evaluate, hop.positions[2], along)
    assert np.abs(evaluate(positions).forces).max() < 1e-5
    return Saddle(hop, minimum, positions, highest - lowest)


@pytest.fixture(scope='session')
def ase_atoms() -> Callable[..., ase.Atoms]:
    """``ase_atoms(hop, image, potential, **options)`` are the atoms of an image with a toy as their calculator."""

    def make(hop: Hop, image: int, potential: str = 'morse', **options: float) -> ase.Atoms:
        atoms = ase.Atoms(hop.numbers, positions=hop.positions[image], cell=hop.cell, pbc=hop.pbc)
        atoms.set_constraint(FixAtoms(np.flatnonzero(hop.fixed)))
        atoms.calc = hops.ToyCalculator(potential, **options)
        return atoms

    return make


@pytest.fixture
def with_potential(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Jobs run after ``with_potential(evaluator)`` are evaluated with it, whatever they ask for; it is returned."""

    def use(evaluator: Any, runtime: Any = None) -> Any:
        monkeypatch.setattr(batch_module, 'Pool', lambda *_: Pool.of(evaluator, runtime))
        return evaluator

    return use


@contextlib.contextmanager
def _restored_signals() -> Iterator[None]:
    """The engine takes over the signals of its process, which here is pytest's."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Rerun:
    """``rerun(folder)`` runs the job there in this process and reads what it left; ``rerun.read`` only reads."""

    read = staticmethod(_read)
    restored_signals = staticmethod(_restored_signals)

    @staticmethod
    def engine(folder: Path) -> Any:
        """Run the job there, of whatever task, and return its result."""
        with _restored_signals():
            return run(folder / files.JOB)

    def __call__(self, folder: Path) -> Ran:
        self.engine(folder)
        return _read(folder)


@pytest.fixture(scope='session')
def rerun() -> Rerun:
    return Rerun()


@pytest.fixture
def job_folder(tmp_path: Path) -> Callable[..., Path]:
    """``job_folder(hops, parameters, potential, options, runtime)`` is a new folder with that job."""
    made: list[Path] = []

    def make(paths: Mapping[str, Hop], *arguments: Any, **keywords: Any) -> Path:
        made.append(tmp_path / f'job_{len(made)}')
        return _write_job(made[-1], paths, *arguments, **keywords)

    return make


@pytest.fixture
def run_job(job_folder: Callable[..., Path], rerun: Rerun) -> Callable[..., Ran]:
    """As ``job_folder``, and the job has run."""
    return lambda *arguments, **keywords: rerun(job_folder(*arguments, **keywords))


@pytest.fixture(scope='session')
def run_elsewhere(tmp_path_factory: pytest.TempPathFactory, rerun: Rerun) -> Callable[..., Ran]:
    """The same for references that several tests share."""
    return lambda *arguments, **keywords: rerun(_write_job(tmp_path_factory.mktemp('job'), *arguments, **keywords))


@pytest.fixture
def run_engine() -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    """``run_engine(folder)`` starts the engine's program there; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[bytes]] = []
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get('PYTHONPATH')]))

    def start(folder: Path) -> subprocess.Popen[bytes]:
        started.append(
            subprocess.Popen(
                [sys.executable, '-m', 'aiida_litraj.engine.cli', 'run', files.JOB],
                cwd=folder,
                env={**os.environ, 'PYTHONPATH': paths},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
