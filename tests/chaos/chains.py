"""The four kinds of chain that are disturbed: how each is launched, what it gives, and what it has cost."""

from __future__ import annotations

import json
import shlex
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from aiida.engine import submit
from aiida.orm import CalcJobNode, Computer, InstalledCode, PortableCode, ProcessNode, QueryBuilder
from ase.build import bulk

from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.codes.bundle import EXECUTABLE, engine_files, write_folder
from aiida_litraj.data import FramesData, PotentialData
from aiida_litraj.workflows.label import LabelWorkChain
from aiida_litraj.workflows.md import MdBaseWorkChain
from aiida_litraj.workflows.neb import NebBaseWorkChain
from aiida_litraj.workflows.train import TrainBaseWorkChain
from tests.chaos.bench import SLOW_FAMILY, Bench
from tests.fixtures.nodes import fcc, md_parameters, neb_parameters, replica, vacancy_path
from tests.fixtures.testbed import Testbed, set_up
from tests.fixtures.training import labelled
from tests.testbed import cluster

SECONDS_PER_CALL = {'neb': 0.3, 'md': 0.1}
SECONDS_PER_EPOCH = 0.9
"""So that a job lasts ten seconds."""
CHECKPOINT_SECONDS = 0.5
WALLTIME_S = 1200
PROCESSES = {'neb': 2, 'md': 1}
LOST_BEYOND_CHECKPOINT = 4
"""Calls of a process that are under way, or answered and not yet written, when it is killed."""
LI2S_ANG = 5.708
SAME_LABEL = 1e-8
"""GPAW's own sums: one run differs from the next by 1e-12 eV and 1e-10 eV/Ang, whatever happens around them."""
N_LABELS, CUTOFF_EV = 3, 200.0


class Kind(ABC):
    """One kind of chain. A launch has a ``nonce``, a number of its own that changes no result: with it nothing of
    another launch is taken from the cache, and what the same launch has left behind when it is launched again is.

    :cvar unit: of its work.
    :cvar tolerance: how far its numbers may be from those of the undisturbed chain, in eV and Ang.
    """

    tolerance: ClassVar[float] = 0.0

    name: ClassVar[str]
    unit: ClassVar[str] = 'model calls'

    def __init__(self, bench: Bench, computer: Computer, code: Any) -> None:
        self.bench, self.computer, self.code = bench, computer, code

    @abstractmethod
    def builder(self, nonce: int, options: dict[str, Any]) -> Any:
        """Return the builder of a launch."""

    @abstractmethod
    def numbers(self, node: ProcessNode) -> dict[str, Any]:
        """Return what a chain has computed, to be the same to the last bit."""

    @abstractmethod
    def lost_by_a_kill(self) -> int:
        """Return the work that one interruption may cost at most: what was done since the last checkpoint."""

    def launch(self, nonce: int, rerunnable: bool) -> ProcessNode:
        """Submit a chain.

        :param rerunnable: whether Slurm may queue its jobs again.
        """
        builder = self.builder(nonce, {**self.options(), 'rerunnable': rerunnable})
        builder.metadata.label = f'{self.name} {nonce}'
        return submit(builder)

    def options(self) -> dict[str, Any]:
        return {
            'queue_name': cluster.PARTITION,
            'max_wallclock_seconds': WALLTIME_S,
            'custom_scheduler_commands': '#SBATCH --gres=gpu:1',
        }

    def jobs(self, node: ProcessNode) -> list[CalcJobNode]:
        """Return the jobs of a chain that ran, in their order: none that was taken from the cache."""
        found = [
            child
            for child in node.called_descendants
            if isinstance(child, CalcJobNode) and not child.base.caching.is_created_from_cache
        ]
        return sorted(found, key=lambda job: job.pk)

    def work(self, node: ProcessNode) -> int:
        """Return what the jobs of a chain have done, all together."""
        return sum(map(self.work_of, self.jobs(node)))

    def work_of(self, job: CalcJobNode) -> int:
        folder = folder_of(job)
        trace = self.bench.calls / '-'.join(folder.parts[-3:]) if folder else None
        return len(trace.read_bytes().split()) if trace and trace.exists() else 0

    def done_twice(self, chains: Sequence[ProcessNode]) -> Iterator[str]:
        """Yield the items that two jobs of a chain have given: each must be of one.

        A chain that is launched again goes on in the folder of the one before, and gives what it finds there.
        """
        for chain in chains:
            given = Counter(name for job in self.jobs(chain) for name in self.given_by(job))
            yield from (f'{name} was given by {n} jobs' for name, n in given.items() if n > 1)

    @abstractmethod
    def given_by(self, job: CalcJobNode) -> list[str]:
        """Return the finished items that a job has given."""


def folder_of(job: CalcJobNode) -> Path | None:
    """Return where a job runs, if it is known yet."""
    place = job.get_remote_workdir()
    return None if place is None else Path(place)


class Engine(Kind):
    """Chains of the engine's jobs, on the slow potential."""

    outputs: ClassVar[str]

    def potential(self, nonce: int) -> PotentialData:
        return PotentialData.packaged('slow', 'morse', options={'seconds': SECONDS_PER_CALL[self.name], 'nonce': nonce})

    def options(self) -> dict[str, Any]:
        return {**super().options(), 'processes': PROCESSES[self.name], 'checkpoint_seconds': CHECKPOINT_SECONDS}

    def given_by(self, job: CalcJobNode) -> list[str]:
        entries = job.outputs.results['items'] if 'results' in job.outputs else {}
        return [name for name, entry in entries.items() if entry['status'] == 'finished']


class Neb(Engine):
    name, outputs = 'neb', 'paths'

    def builder(self, nonce: int, options: dict[str, Any]) -> Any:
        builder = NebBaseWorkChain.get_builder()
        builder.neb.code, builder.neb.potential = self.code, self.potential(nonce)
        builder.neb.paths = {f'hop_{site}': vacancy_path(site=site) for site in (1, 2)}
        builder.neb.parameters = neb_parameters()
        builder.neb.metadata = {'computer': self.computer, 'options': options}
        return builder

    def numbers(self, node: ProcessNode) -> dict[str, Any]:
        return {
            f'{name} {array}': path.get_array(array)
            for name, path in node.outputs.paths.items()
            for array in path.get_arraynames()
        }

    def lost_by_a_kill(self) -> int:
        return PROCESSES[self.name] * LOST_BEYOND_CHECKPOINT


class Md(Engine):
    name, outputs = 'md', 'trajectories'

    def builder(self, nonce: int, options: dict[str, Any]) -> Any:
        builder = MdBaseWorkChain.get_builder()
        builder.md.code, builder.md.potential = self.code, self.potential(nonce)
        builder.md.structures = {'fcc': fcc()}
        schedule = {'duration_fs': 160.0, 'temperature_k': 300.0}
        builder.md.replicas = {f'r{seed}': replica('fcc', seed, schedule) for seed in (1, 2)}
        builder.md.parameters = md_parameters()
        builder.md.metadata = {'computer': self.computer, 'options': options}
        return builder

    def numbers(self, node: ProcessNode) -> dict[str, Any]:
        return {
            f'{name} {array}': getattr(trajectory, array)
            for name, trajectory in node.outputs.trajectories.items()
            for array in ('positions', 'energies', 'kinetic_energies', 'end_velocities')
        }

    def lost_by_a_kill(self) -> int:
        return PROCESSES[self.name] * (round(CHECKPOINT_SECONDS / SECONDS_PER_CALL[self.name]) + LOST_BEYOND_CHECKPOINT)


class Train(Kind):
    """Trainings of the toy trainer, whose epochs take a while."""

    name, unit = 'train', 'epochs'
    epochs = 10

    @cached_property
    def sets(self) -> tuple[FramesData, FramesData]:
        return labelled(8, seed=7).store(), labelled(3, seed=8).store()

    def builder(self, nonce: int, options: dict[str, Any]) -> Any:
        numbers = {
            'batch_size': 4, 'epochs': self.epochs, 'learning_rate': 0.05, 'architecture': {'cutoff_ang': 6.0},
            'loss': {'force_weight': 1.0}, 'native': {'seconds_per_epoch': SECONDS_PER_EPOCH + 1e-7 * nonce},
        }  # fmt: skip
        return TrainBaseWorkChain.get_builder_from_protocol(
            self.code, *self.sets, trainer='toy', protocol='fast', overrides={'parameters': numbers},
            computer=self.computer, options=options,
        )  # fmt: skip

    def numbers(self, node: ProcessNode) -> dict[str, Any]:
        curve = node.outputs.curves['seed_0']
        columns = [name for name in curve.get_arraynames() if name != 'seconds']
        return {
            'potential': node.outputs.potentials['seed_0'].sha256,
            **{f'curve {name}': curve.get_array(name) for name in columns},
        }

    def work_of(self, job: CalcJobNode) -> int:
        """Return the whole epochs of a job: those on disk after it, less those it began with."""
        return max(0, self.epochs_in(job) - self.begun_with(job))

    def epochs_in(self, job: CalcJobNode) -> int:
        if 'results' in job.outputs:
            return max((entry['n_epochs'] for entry in job.outputs.results['items'].values()), default=0)
        return 0

    def begun_with(self, job: CalcJobNode) -> int:
        before = job.inputs.parent_folder.creator if 'parent_folder' in job.inputs else None
        return 0 if before is None else self.epochs_in(before)

    def lost_by_a_kill(self) -> int:
        return 1

    def given_by(self, job: CalcJobNode) -> list[str]:
        entries = job.outputs.results['items'] if 'results' in job.outputs else {}
        return [name for name, entry in entries.items() if entry['status'] == 'finished']


class Label(Kind):
    """Labels of GPAW: a job each, without a checkpoint."""

    name, unit = 'label', 'labels'
    tolerance = SAME_LABEL

    @cached_property
    def frames(self) -> FramesData:
        images = []
        for seed in range(N_LABELS):
            atoms = bulk('Li2S', 'fluorite', a=LI2S_ANG)
            atoms.rattle(0.05, seed=seed)
            images.append(atoms)
        return FramesData.from_frames(from_ase(images)).store()

    def options(self) -> dict[str, Any]:
        return {**super().options(), 'environment_variables': {'OMP_NUM_THREADS': '1'}}

    def builder(self, nonce: int, options: dict[str, Any]) -> Any:
        level = {
            'cutoff_ev': CUTOFF_EV, 'kpoint_mesh': [1, 1, 1], 'kpoint_spacing_per_ang': None,
            'max_scf_steps': 1000 + nonce,
        }  # fmt: skip
        return LabelWorkChain.get_builder_from_protocol(
            self.code, self.frames, protocol='fast', overrides={'level': level}, options=options, max_in_flight=2
        )

    def numbers(self, node: ProcessNode) -> dict[str, Any]:
        found = {}
        for name, label in node.outputs.labels.items():
            frames = label.frames
            found |= {f'{name} {key}': getattr(frames, key) for key in ('energies', 'forces', 'stresses')}
        return found

    def work(self, node: ProcessNode) -> int:
        return len(self.jobs(node))

    def done_twice(self, chains: Sequence[ProcessNode]) -> Iterator[str]:
        """Yield what was labelled once more after it had been: a second launch has such labels from the cache.

        A job that still runs when its chain has excepted, and the chain is launched again, had not been through then.
        """
        given: dict[str, CalcJobNode] = {}
        for job in sorted((job for chain in chains for job in self.jobs(chain)), key=lambda job: job.pk):
            for name in self.given_by(job):
                before = given.setdefault(name, job)
                if before is not job and before.outputs.retrieved.ctime < job.ctime:
                    yield f'{name} was given by {before.pk} and {job.pk}'

    def work_of(self, job: CalcJobNode) -> int:
        return 1

    def lost_by_a_kill(self) -> int:
        return N_LABELS  # the jobs under way, and those that find the machine no better

    def given_by(self, job: CalcJobNode) -> list[str]:
        return [json.dumps(job.inputs.structure.base.attributes.get('sites'))] if job.is_finished_ok else []


KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (Neb, Md, Train, Label)}


def make_kinds(bench: Bench, names: list[str]) -> dict[str, Kind]:
    """Return the kinds of these names, with computer and codes."""
    computer = set_up(Testbed(cluster.description(bench.bed), bench.folder / 'home'))
    made: dict[str, Kind] = {}
    for name in names:
        code = gpaw_code(bench, computer) if name == 'label' else engine_code(bench, computer)
        made[name] = KINDS[name](bench, computer, code)
    return made


def quoted(value: object) -> str:
    return shlex.quote(str(value))


def clock_lines(bench: Bench) -> str:
    """Return the lines of a job's script with which its clock is off by what a file says."""
    if not bench.clock_library.exists():
        return ''
    return f'export LITRAJ_CLOCK={quoted(bench.clock)} LD_PRELOAD={quoted(bench.clock_library)}\n'


def engine_code(bench: Bench, computer: Computer) -> PortableCode:
    """Return the engine that travels, run by an interpreter that can be broken."""
    found = QueryBuilder().append(PortableCode, filters={'label': 'engine'}).first(flat=True)
    if found is not None:
        return found
    folder = bench.folder / 'engine'
    write_folder(engine_files(), folder)
    lines = {
        'LITRAJ_PYTHON': bench.environment / 'python',
        'PYTHONPATH': SLOW_FAMILY,
        'LITRAJ_CALLS': bench.calls,
        'OMP_NUM_THREADS': 1,
    }
    return PortableCode(
        label='engine',
        filepath_executable=EXECUTABLE,
        filepath_files=folder,
        default_calc_job_plugin='litraj.neb',
        prepend_text=clock_lines(bench) + '\n'.join(f'export {key}={quoted(value)}' for key, value in lines.items()),
        with_mpi=False,
    ).store()


def gpaw_code(bench: Bench, computer: Computer) -> InstalledCode:
    return InstalledCode(
        label='gpaw',
        computer=computer,
        filepath_executable=str(bench.environment / 'gpaw'),
        default_calc_job_plugin='ase.ase',
        prepend_text=clock_lines(bench),
        with_mpi=False,
    ).store()


def differences(found: dict[str, Any], reference: dict[str, Any], tolerance: float = 0.0) -> list[str]:
    """Return what is not the same, in words; by default to the last bit."""
    told = [f'{name} is missing' for name in reference.keys() - found.keys()]
    told += [f'{name} is not in the reference' for name in found.keys() - reference.keys()]
    for name in sorted(found.keys() & reference.keys()):
        one, other = found[name], reference[name]
        if isinstance(other, np.ndarray):
            if one.shape != other.shape:
                told.append(f'{name}: shape {one.shape}, not {other.shape}')
            elif not np.allclose(one, other, rtol=0.0, atol=tolerance, equal_nan=other.dtype.kind == 'f'):
                told.append(f'{name}: off by {np.abs(one - other).max():.3g}')
        elif one != other:
            told.append(f'{name}: {one}, not {other}')
    return told
