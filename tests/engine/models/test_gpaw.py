"""GPAW as a potential: its own numbers, alone or by groups of MPI ranks, and errors that say what to do."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiida_litraj.contract import LitrajError, PotentialSpec, Runtime
from aiida_litraj.contract.gpaw import MPIEXEC_VARIABLE, SAFER_MIXER
from aiida_litraj.engine.evaluation import Pool
from aiida_litraj.engine.failure import Failure
from aiida_litraj.engine.models import Configuration, Evaluation, load

pytestmark = pytest.mark.dft

LEVEL: dict[str, Any] = {
    'functional': 'PBE',
    'cutoff_ev': 250,
    'kpoint_mesh': '2 1 1',
    'smearing': 'fermi-dirac',
    'smearing_width_ev': 0.1,
    'energy_convergence_ev': 1e-6,
    'density_convergence': 1e-6,
    'max_scf_steps': 60,
}
SAME_EV = 1e-9
"""The same steps of the same program."""
SCF_EV, SCF_EV_PER_ANG = 2e-5, 2e-3
"""Between two ways to one self-consistent density: the energy to some times its tolerance, the forces to first order in
the density's."""
SRUN = """#!{python}
import json, os, subprocess, sys
own = {own!r}
json.dump(sys.argv[1:], open({record!r}, 'w'))
ranks = subprocess.Popen(['mpiexec', *sys.argv[1 + len(own):]], stdout=subprocess.PIPE)
kept = b''
while part := os.read(ranks.stdout.fileno(), 65536):
    whole, newline, kept = (kept + part).rpartition(b'\\n')
    os.write(1, whole + newline)
sys.exit(ranks.wait())
"""
"""Like srun it hands on whole lines only; what is after the last newline waits for the next."""
STEP_ANG = 0.01
GRADIENT_EV_PER_ANG = 5e-3
"""Forces against finite differences: twice the SCF tolerance of an energy over two steps, and the grid's egg box."""


def spec(**options: Any) -> PotentialSpec:
    return PotentialSpec(family='gpaw', name='gpaw', options={**LEVEL, **options})


def evaluator(**options: Any) -> Any:
    return load(spec(**options), Path.cwd())


def lithium_hydride(seed: int = 1, stress: bool = False, repeat: int = 1) -> Configuration:
    from ase.build import bulk

    atoms = bulk('LiH', 'rocksalt', a=4.0).repeat((repeat, 1, 1))
    atoms.rattle(0.1, seed=seed)
    return Configuration(atoms.numbers.astype(np.int64), atoms.positions, atoms.cell.array, atoms.pbc, stress)


def moved(configuration: Configuration, by: float, atom: int = 0, axis: int = 0) -> Configuration:
    positions = configuration.positions.copy()
    positions[atom, axis] += by
    return Configuration(configuration.numbers, positions, configuration.cell, configuration.pbc, configuration.stress)


def assert_alike(one: Evaluation, other: Evaluation) -> None:
    assert abs(one.energy - other.energy) < SCF_EV
    assert np.abs(one.forces - other.forces).max() < SCF_EV_PER_ANG


def processes_below(pid: int) -> set[int]:
    """All descendants of a process that are alive."""
    below: dict[int, list[int]] = {}
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            try:
                state, parent = (entry / 'stat').read_text().rpartition(') ')[2].split()[:2]
            except OSError:
                continue
            if state != 'Z':
                below.setdefault(int(parent), []).append(int(entry.name))
    found, left = set(), [pid]
    while left:
        children = below.get(left.pop(), [])
        found |= set(children)
        left += children
    return found


def wait_until(condition: Any, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def alive(pid: int) -> bool:
    try:
        return (Path('/proc') / str(pid) / 'stat').read_text().rpartition(') ')[2][0] != 'Z'
    except OSError:
        return False


@pytest.fixture(scope='module')
def alone() -> Evaluation:
    """What one process says of the crystal."""
    return evaluator().evaluate([lithium_hydride(stress=True)])[0]  # type: ignore[no-any-return]


def test_energy_forces_and_stress_are_those_of_gpaw(alone: Evaluation) -> None:
    """By hand; the set-ups leave four electrons: three of lithium, one of hydrogen."""
    from ase import Atoms
    from gpaw import GPAW, PW

    crystal = lithium_hydride()
    atoms = Atoms(numbers=crystal.numbers, positions=crystal.positions, cell=crystal.cell, pbc=True)
    atoms.calc = GPAW(
        mode=PW(250),
        xc='PBE',
        kpts={'size': (2, 1, 1), 'gamma': True},
        occupations={'name': 'fermi-dirac', 'width': 0.1},
        convergence={'energy': 1e-6 / 4, 'density': 1e-6},
        symmetry={'point_group': False},
        txt=None,
    )
    assert abs(atoms.get_potential_energy(force_consistent=True) - alone.energy) < SAME_EV
    assert np.abs(atoms.get_forces() - alone.forces).max() < SAME_EV
    assert alone.stress is not None
    assert np.abs(atoms.get_stress(voigt=False) - alone.stress).max() < SAME_EV


def test_set_ups_are_told_as_gpaw_calls_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its fingerprints labels of a DFT-NEB are compared with those that GPAW itself has labelled."""
    import gpaw
    from gpaw import setup_data
    from gpaw.setup_data import SetupData

    from aiida_litraj.engine.models.gpaw_solver import setup_files

    told = evaluator().report.pseudopotentials
    assert {symbol: told[symbol] for symbol in ('Li', 'H')} == {
        symbol: SetupData(symbol, 'PBE').fingerprint for symbol in ('Li', 'H')
    }
    # One that was unpacked and changed goes before the installed one, for GPAW and here.
    text = gzip.decompress(setup_files('PBE')['Li'].read_bytes())
    (tmp_path / 'Li.PBE').write_bytes(text.replace(b'</paw_', b'<!-- another --></paw_'))
    paths = [str(tmp_path), *gpaw.setup_paths]
    monkeypatch.setattr(gpaw, 'setup_paths', paths)
    monkeypatch.setattr(setup_data, 'setup_paths', paths)
    changed = evaluator().report.pseudopotentials
    assert changed['Li'] == SetupData('Li', 'PBE').fingerprint != told['Li'] and changed['H'] == told['H']
    (tmp_path / 'Li.PBE.gz').write_bytes(gzip.compress(text))  # of two in one folder GPAW takes this
    assert evaluator().report.pseudopotentials['Li'] == SetupData('Li', 'PBE').fingerprint == told['Li']


def test_forces_are_the_gradient_of_the_energy() -> None:
    potential, crystal = evaluator(), lithium_hydride()
    forward, backward, here = potential.evaluate([moved(crystal, STEP_ANG), moved(crystal, -STEP_ANG), crystal])
    slope = -(forward.energy - backward.energy) / (2 * STEP_ANG)
    assert abs(slope) > 0.1
    assert abs(slope - here.forces[0, 0]) < GRADIENT_EV_PER_ANG


def test_the_order_of_the_questions_does_not_matter_and_a_near_one_is_cheaper() -> None:
    first, near, far = lithium_hydride(), moved(lithium_hydride(), 0.03), lithium_hydride(seed=7)
    fresh = evaluator()
    (expected,) = fresh.evaluate([near])
    from_atoms = fresh._solver._calculator.get_number_of_iterations()
    potential = evaluator()
    potential.evaluate([far, first])
    (found,) = potential.evaluate([near])
    assert_alike(found, expected)
    assert potential._solver._calculator.get_number_of_iterations() < from_atoms


def test_a_cycle_that_does_not_converge_begins_once_more_and_more_carefully(monkeypatch: pytest.MonkeyPatch) -> None:
    """The crystal takes more steps than it is given; the second start gives its answer with twice as many."""
    import gpaw

    loose = {'cutoff_ev': 200, 'energy_convergence_ev': 1e-2, 'density_convergence': 1e-2}
    made: list[dict[str, Any]] = []
    original = gpaw.GPAW

    def counted(**arguments: Any) -> Any:
        made.append(arguments)
        return original(**arguments)

    monkeypatch.setattr(gpaw, 'GPAW', counted)
    (expected,) = evaluator(**loose).evaluate([lithium_hydride()])
    (found,) = evaluator(**loose, max_scf_steps=8).evaluate([lithium_hydride()])
    first, second = made[1:]
    assert 'mixer' not in first
    assert (second['mixer'], second['maxiter']) == (SAFER_MIXER, 16)
    assert abs(found.energy - expected.energy) < 1e-2  # as the cycles were told to


def test_a_cycle_that_does_not_converge_ends_what_asked_for_it_alone() -> None:
    """The crystal takes 9 steps, an atom of oxygen with its half-filled shell 21; slower mixing saves it none."""
    loose = {'cutoff_ev': 200, 'energy_convergence_ev': 1e-2, 'density_convergence': 1e-2, 'max_scf_steps': 10}
    with Pool.of(evaluator(**loose)) as pool:
        easy = lithium_hydride()
        hard = Configuration(np.array([8]), np.zeros((1, 3)), np.eye(3) * 4.0, np.ones(3, dtype=bool))
        for ticket, one in enumerate((easy, hard, easy)):
            pool.submit(ticket, one)
        found: dict[int, Any] = {}
        while pool.pending:
            found |= dict(pool.collect())
    assert isinstance(found[0], Evaluation)
    assert isinstance(found[2], Evaluation)
    assert isinstance(found[1], Failure)
    assert found[1].label == 'ERROR_SCF_NOT_CONVERGED'
    assert '10 steps were not enough' in found[1].reason


@pytest.mark.parametrize('ranks', [1, 2])
def test_a_missing_setup_names_element_and_remedy(ranks: int) -> None:
    potential = evaluator(ranks=ranks)
    francium = Configuration(np.array([87]), np.zeros((1, 3)), np.eye(3) * 5.0, np.ones(3, dtype=bool))
    with pytest.raises(LitrajError, match=r'no PAW set-up for Fr: .*GPAW_SETUP_PATH') as raised:
        potential.evaluate([francium])
    assert raised.value.code.label == 'ERROR_SETUP_MISSING'


def test_a_functional_without_setups_can_take_those_of_another() -> None:
    with pytest.raises(LitrajError, match=r'for PBEsol in .*setups=PBE') as raised:
        evaluator(functional='PBEsol')
    assert raised.value.code.label == 'ERROR_SETUP_MISSING'
    sol = evaluator(functional='PBEsol', setups='PBE')
    assert sol.report.sha256 != evaluator().report.sha256
    assert sol.evaluate([lithium_hydride()])[0].energy != evaluator().evaluate([lithium_hydride()])[0].energy


def test_the_number_of_ranks_is_no_part_of_what_a_potential_is() -> None:
    group = evaluator(ranks=2)
    assert group.report.sha256 == evaluator().report.sha256


def test_two_ranks_say_what_one_does(alone: Evaluation) -> None:
    (found,) = evaluator(ranks=2).evaluate([lithium_hydride(stress=True)])
    assert_alike(found, alone)
    assert found.stress is not None
    assert alone.stress is not None
    assert np.abs(found.stress - alone.stress).max() < SCF_EV_PER_ANG


def test_ranks_started_by_srun(alone: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which there is but a stand-in: it gets the options, the number of ranks and the program, in this order."""
    own, record, program = ['--exact', '--input=0', '-K1'], tmp_path / 'arguments.json', tmp_path / 'srun'
    program.write_text(SRUN.format(python=sys.executable, own=own, record=str(record)))
    program.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv(MPIEXEC_VARIABLE, ' '.join(['srun', *own]))
    monkeypatch.setattr('aiida_litraj.engine.models.mpi_group.START_SECONDS', 60.0)
    (found,) = evaluator(ranks=2).evaluate([lithium_hydride()])
    assert_alike(found, alone)
    group = 'aiida_litraj.engine.models.gpaw_group'
    assert json.loads(record.read_text()) == [*own, '-n', '2', sys.executable, '-m', group]


def test_two_groups_at_once(alone: Evaluation) -> None:
    before = processes_below(os.getpid())
    with Pool(spec(), Path.cwd(), Runtime(device='cpu', processes=2, ranks_per_process=2), 'native') as pool:
        crystals = [lithium_hydride(), lithium_hydride(seed=2), lithium_hydride(seed=3)]
        for ticket, crystal in enumerate(crystals):
            pool.submit(ticket, crystal)
        ranks: set[int] = set()
        found: dict[int, Any] = {}
        while pool.pending:
            ranks |= set(_ranks_of(os.getpid())) - before
            found |= dict(pool.collect(timeout=0.2))
        assert len(ranks) == 4
        assert_alike(found[0], alone)
        below = processes_below(os.getpid()) - before
    assert below
    assert wait_until(lambda: not any(alive(pid) for pid in below), 20)


def _command(pid: int) -> bytes:
    try:
        return (Path('/proc') / str(pid) / 'cmdline').read_bytes()
    except OSError:
        return b''


def _ranks_of(pid: int) -> list[int]:
    """The MPI ranks below a process: what runs the program and is not the launcher."""
    return sorted(
        one for one in processes_below(pid) if b'gpaw_group' in _command(one) and b'mpiexec' not in _command(one)
    )


def test_a_killed_rank_is_noticed_and_named() -> None:
    potential = evaluator(ranks=2)
    os.kill(_ranks_of(potential._group._process.pid)[-1], signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r'MPI group of 2 ranks died: killed by signal 9'):
        potential.evaluate([lithium_hydride()])
    with pytest.raises(RuntimeError, match=r'MPI group of 2 ranks died'):  # so it is not blamed on what was asked
        potential.evaluate([])


def test_a_crash_is_of_the_configuration_and_the_next_one_is_evaluated(alone: Evaluation) -> None:
    crystal = lithium_hydride()
    on_one_place = moved(crystal, 0.0)
    on_one_place.positions[1] = on_one_place.positions[0]
    with Pool.of(evaluator(ranks=2)) as pool:
        pool.submit(0, crystal)
        pool.submit(1, on_one_place)
        pool.submit(2, crystal)
        found: dict[int, Any] = {}
        while pool.pending:
            found |= dict(pool.collect())
    assert isinstance(found[1], Failure)
    assert found[1].label == 'ERROR_EVALUATION'
    assert_alike(found[0], alone)
    assert_alike(found[2], alone)


@pytest.mark.parametrize(
    ('launcher', 'words'),
    [('/nowhere/mpiexec', 'No such file.*LITRAJ_MPIEXEC'), ('mpiexec --no-such-option', 'no-such-option')],
)
def test_mpi_that_does_not_start_says_why(launcher: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MPIEXEC_VARIABLE, launcher)
    with pytest.raises(LitrajError, match=words) as raised:
        evaluator(ranks=2)
    assert raised.value.code.label == 'ERROR_MPI'


@pytest.mark.parametrize('processes', [1, 2])
def test_groups_and_workers_die_with_a_killed_engine(processes: int, tmp_path: Path) -> None:
    """In the middle of a cycle that would take long: none may go on for nobody."""
    script = tmp_path / 'engine.py'
    script.write_text(
        'import sys\nfrom pathlib import Path\n'
        f'sys.path[:0] = {sys.path!r}\n'
        'from aiida_litraj.contract import PotentialSpec, Runtime\n'
        'from aiida_litraj.engine.evaluation import Pool\n'
        'from aiida_litraj.engine.models import Configuration\n'
        'import numpy as np\n'
        f'spec = PotentialSpec.model_validate({spec(ranks=2, cutoff_ev=900, kpoint_mesh="4 4 4").model_dump()!r})\n'
        f'pool = Pool(spec, Path.cwd(), Runtime(device="cpu", processes={processes}), "native")\n'
        'places = np.array([[0.0, 0, 0], [2.1, 0, 0]])\n'
        'atoms = Configuration(np.array([3, 1]), places, np.eye(3) * 8, np.ones(3, bool))\n'
        'for ticket in range(2): pool.submit(ticket, atoms)\n'
        'print("working", flush=True)\n'
        'while pool.pending: pool.collect()\n'
    )
    engine = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
    assert engine.stdout is not None
    assert engine.stdout.readline() == b'working\n'
    assert wait_until(lambda: len(_ranks_of(engine.pid)) == 2 * processes, 60)
    time.sleep(2.0)
    below = processes_below(engine.pid)
    engine.kill()
    engine.wait()
    assert wait_until(lambda: not any(alive(pid) for pid in below), 30)


def test_options_that_are_missing_or_wrong_are_named() -> None:
    with pytest.raises(LitrajError, match=r'kpoint_mesh = .2 2.: write three whole numbers'):
        evaluator(kpoint_mesh='2 2')
    with pytest.raises(LitrajError, match=r'cutof_ev: Extra inputs'):
        evaluator(cutof_ev=300)
    with pytest.raises(LitrajError, match='cutoff_ev: Field required'):
        load(PotentialSpec(family='gpaw', name='gpaw', options={'functional': 'PBE'}), Path.cwd())
    with pytest.raises(LitrajError, match='has one potential, gpaw'):
        load(PotentialSpec(family='gpaw', name='pbe', options=LEVEL), Path.cwd())
