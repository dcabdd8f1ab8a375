"""What Slurm says of jobs, in texts that its ``sacct`` has written, and what jobs ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiida_litraj.usage.allocation import Allocation, cores_asked, from_sacct, gpus_asked, state_from_sacct

SACCT = Path(__file__).parent / 'sacct'


@pytest.mark.parametrize(
    ('name', 'allocation'),
    [
        ('two_gpus_7_s', Allocation(7.0, 2, 2)),
        ('three_cores_failed_3_s', Allocation(3.0, 3, None)),
        ('cancelled_in_the_queue', Allocation(0.0, 0, 0)),
    ],
)
def test_real_texts(name: str, allocation: Allocation) -> None:
    """The line of the job, not those of its steps, which have the same time once more."""
    assert from_sacct((SACCT / f'{name}.txt').read_text()) == allocation


def test_state_is_that_of_the_job_and_not_of_a_step() -> None:
    states = {path.stem: state_from_sacct(path.read_text()) for path in SACCT.glob('*.txt')}
    assert states == {
        'two_gpus_7_s': 'COMPLETED',
        'three_cores_failed_3_s': 'FAILED',
        'cancelled_in_the_queue': 'CANCELLED',
    }
    assert state_from_sacct('JobID|State|\n7|FAILED|\n7.batch|CANCELLED|\n') == 'FAILED'
    assert state_from_sacct(None) is None


def test_time_without_its_raw_seconds() -> None:
    header = 'JobID|Elapsed|AllocTRES|\n'
    assert from_sacct(f'{header}7|1-02:03:04|cpu=8,gres/gpu:a100=2,gres/gpu:v100=1|\n') == Allocation(93784.0, 8, 3)
    assert from_sacct(f'{header}7|02:03.5|cpu=8|\n') == Allocation(123.5, 8, None)


@pytest.mark.parametrize('text', [None, '', 'sacct: error: no accounting', 'JobID|Elapsed|\n', 'JobID|State|\n7|OK|\n'])
def test_text_that_says_nothing(text: str | None) -> None:
    assert from_sacct(text) is None


def test_line_that_is_broken_is_passed_by() -> None:
    """A name of a job may have the sign that parts the columns."""
    assert from_sacct('JobID|JobName|Elapsed|\n7|a|b|00:10|\n') is None


@pytest.mark.parametrize(
    ('directives', 'gpus'),
    [
        ('#SBATCH --gres=gpu:1', 2),
        ('#SBATCH --gres=gpu', 2),
        ('#SBATCH --gres=gpu:a100:2\n#SBATCH --mem=0', 4),
        ('#SBATCH --gres=lustre:1,gpu:3', 6),
        ('#SBATCH --gres=gpu:2,tmp:10', 4),
        ('#SBATCH --gpus=4', 4),
        ('#SBATCH --gpus a100:3', 3),
        ('#SBATCH -G 2', 2),
        ('#SBATCH --gpus-per-node=v100:2', 4),
        ('#SBATCH --gpus-per-task=1', 8),
        ('#SBATCH --gres=gpu:2080ti:1', 2),
        ('#SBATCH --gres=gpu:2080ti', 2),
        ('#SBATCH --gres=gpu:4090:2', 4),
        ('#SBATCH --gres=gpu:3g.20gb:1', 2),
        ('#SBATCH --gres="gpu:a100:2"', 4),
        ('#SBATCH --gres=gpu:a100:2(S:0-1)', 4),
        ('#SBATCH --gres=gpu:a100:1,gpu:v100:2', 6),
        ('#SBATCH --gpus-per-node=1080ti:4', 8),
        ('#SBATCH --gpus=2080ti:1', 1),
        ('#SBATCH --gpus=a100:1,v100:2', 3),
        ('#SBATCH -G2', 2),
        ('#SBATCH --gpus-per-task=2080ti:1', 8),
        ('#SBATCH --gres=tmp:10', None),
        ('#SBATCH --constraint=gpu', None),
        ('', None),
    ],
)
def test_gpus_of_two_nodes_with_four_processes_each(directives: str, gpus: int | None) -> None:
    assert gpus_asked(directives, {'num_machines': 2, 'num_mpiprocs_per_machine': 4}) == gpus


@pytest.mark.parametrize(
    ('resources', 'cores'),
    [
        ({'num_machines': 2, 'num_mpiprocs_per_machine': 4}, 8),
        ({'num_machines': 2, 'num_mpiprocs_per_machine': 4, 'num_cores_per_mpiproc': 3}, 24),
        ({'num_machines': 2, 'num_mpiprocs_per_machine': 4, 'num_cores_per_machine': 16}, 32),
        ({'parallel_env': 'mpi', 'tot_num_mpiprocs': 6}, 6),
        ({}, None),
    ],
)
def test_cores(resources: dict[str, int], cores: int | None) -> None:
    assert cores_asked(resources) == cores
