"""What the chain of labels costs beside the labels: time for each, and the size of its checkpoint.

    python -m tests.benchmarks.labels                        # 50 and 500 labels, some minutes
    python -m tests.benchmarks.labels --labels 2000 --in-flight 10

An analytic potential stands for DFT (``tests/fixtures/toy_labels.py``), in a profile of SQLite that is thrown away and
does not wait for the disk. Prints by the number of labels: seconds of the whole chain for each and those of a core in
it, what the toy takes alone, the largest checkpoint, seconds of a core for the checkpoints of each label, the longest
step, in which nothing else of the worker has a turn, and the last step, which gathers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

COLUMNS = (
    ('labels', 'labels', '{:d}'),
    ('per_label_s', 's each', '{:.3f}'),
    ('cpu_s', 'of a core', '{:.3f}'),
    ('alone_s', 'alone', '{:.3f}'),
    ('checkpoint_kb', 'checkpoint/kB', '{:.0f}'),
    ('saving_s', 'saving/s each', '{:.4f}'),
    ('longest_step_s', 'longest step/s', '{:.2f}'),
    ('ending_s', 'last step/s', '{:.2f}'),
)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--labels', type=int, nargs='+', default=[50, 500])
    parser.add_argument('--in-flight', type=int, default=4)
    parser.add_argument('--atoms', type=int, default=24)
    parser.add_argument('--json', type=Path, help='also write the figures to this file')
    parser.add_argument('--child', help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        print(json.dumps(measure(**json.loads(chosen.child))))
        return
    figures = []
    print('  '.join(f'{header:>14}' for _, header, _ in COLUMNS), flush=True)
    for number in chosen.labels:
        asked = {'number': number, 'in_flight': chosen.in_flight, 'n_atoms': chosen.atoms}
        with tempfile.TemporaryDirectory() as place:
            figures.append(in_a_profile_of_its_own(Path(place), asked))
        print('  '.join(f'{written.format(figures[-1][key]):>14}' for key, _, written in COLUMNS), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1))


def in_a_profile_of_its_own(place: Path, asked: dict[str, Any]) -> dict[str, float]:
    """Return the figures, measured in another interpreter, whose AiiDA knows nothing but this."""
    environment = {**os.environ, 'AIIDA_PATH': str(place), 'AIIDA_WARN_v3': '0'}
    verdi = str(Path(sys.executable).with_name('verdi'))
    subprocess.run([verdi, 'presto', '-n'], env=environment, check=True, capture_output=True)
    command = [sys.executable, '-m', 'tests.benchmarks.labels', '--child', json.dumps(asked)]
    said = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def measure(number: int, in_flight: int, n_atoms: int) -> dict[str, float]:
    """Return the figures of one chain."""
    from aiida import load_profile
    from aiida.engine import run_get_node
    from aiida.engine.runners import Runner
    from aiida.manage import get_manager
    from sqlalchemy import Engine, event

    from tests.fixtures.profiles import write_lazily

    event.listen(Engine, 'connect', write_lazily)
    load_profile()
    manager = get_manager()
    manager.set_runner(Runner(poll_interval=0.05, persister=manager.get_persister()))  # without the broker
    from aiida_litraj.workflows.label import LabelWorkChain

    code = toy_code()
    watched = Watch(LabelWorkChain)
    frames = configurations(number, n_atoms)
    builder = LabelWorkChain.get_builder_from_protocol(code, frames, max_in_flight=in_flight)
    began, used = time.monotonic(), time.process_time()
    _, node = run_get_node(builder)
    whole, used = time.monotonic() - began, time.process_time() - used
    if not node.is_finished_ok or len(dict(node.outputs.labels)) != number:
        raise RuntimeError(f'the chain ended as {node.exit_status}: {node.exit_message}')
    return {
        'labels': number,
        'per_label_s': whole / number,
        'cpu_s': used / number,
        'alone_s': statistics.median(watched.alone),
        'checkpoint_kb': max(watched.sizes) / 1024,
        'saving_s': sum(watched.saving) / number,
        'longest_step_s': max(watched.steps),
        'ending_s': watched.steps[-1],
    }


class Watch:
    """Takes down what a chain's checkpoints are like and how long its steps take, and how long the toy's."""

    def __init__(self, chain: Any) -> None:
        from aiida.engine.persistence import AiiDAPersister

        from tests.fixtures.toy_labels import ToyLabelChain

        self.sizes: list[int] = []
        self.saving: list[float] = []
        self.steps: list[float] = []
        self.alone: list[float] = []
        save, step, label = AiiDAPersister.save_checkpoint, chain._do_step, ToyLabelChain.label

        def saved(persister: Any, process: Any, tag: Any = None) -> None:
            began = time.process_time()
            save(persister, process, tag)
            if isinstance(process, chain):
                self.saving.append(time.process_time() - began)
                self.sizes.append(len(process.node.checkpoint or ''))

        def stepped(process: Any) -> Any:
            began = time.monotonic()
            try:
                return step(process)
            finally:
                self.steps.append(time.monotonic() - began)

        def labelled(process: Any) -> Any:
            began = time.monotonic()
            try:
                return label(process)
            finally:
                self.alone.append(time.monotonic() - began)

        AiiDAPersister.save_checkpoint = saved  # type: ignore[method-assign,assignment]
        chain._do_step, ToyLabelChain.label = stepped, labelled  # type: ignore[method-assign]


def toy_code() -> Any:
    """Return a code that the toy takes; it is the only back end that there is."""
    from importlib.metadata import EntryPoint

    from aiida.orm import InstalledCode, load_computer

    from aiida_litraj.workflows.backends import GROUP, base
    from tests.fixtures import toy_labels

    entry = EntryPoint(toy_labels.NAME, f'{toy_labels.__name__}:ToyBackend', GROUP)
    base.entry_points = lambda group: [entry] if group == GROUP else []  # type: ignore[assignment,misc]
    return InstalledCode(
        label='toy-dft', computer=load_computer('localhost'), filepath_executable='/bin/true',
        default_calc_job_plugin=toy_labels.PLUGIN,
    ).store()  # fmt: skip


def configurations(number: int, n_atoms: int) -> Any:
    """Return random crystals of lithium."""
    import numpy as np
    from ase import Atoms

    from aiida_litraj.analysis.frames import from_ase
    from aiida_litraj.data.frames import FramesData

    generator = np.random.default_rng(0)
    side = int(np.ceil(n_atoms ** (1 / 3)))
    lattice = 3.0 * np.array(list(np.ndindex(side, side, side)))[:n_atoms]
    images = [
        Atoms(f'Li{n_atoms}', lattice + generator.normal(0.0, 0.1, lattice.shape), cell=[3.0 * side] * 3, pbc=True)
        for _ in range(number)
    ]
    return FramesData.from_frames(from_ase(images)).store()


if __name__ == '__main__':
    main()
