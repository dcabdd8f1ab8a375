"""NEB of four Li3PO4 hops: protocols of the engine beside ASE's NEB on the same potential, in one run.

    python -m tests.benchmarks.neb --cells 31                 # a quarter of an hour on one core
    python -m tests.benchmarks.neb --cells 31 127 --hops 0,6,0,0,0 --no-ase

Prints, per hop and cell: model calls, CPU seconds, time outside the model, barrier, and the ratio to ASE.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from aiida_litraj.contract import PotentialSpec, Runtime
from tests.engine.parity.neb_with_ase import barrier, hop_in, neb_with_ase, neb_with_engine, parameters

HOPS = ('0,6,0,0,0', '0,1,1,0,0', '0,9,0,0,0', '0,11,0,0,1')
CELLS = {31: 4.8, 127: 8.0}
"""Atoms with the vacancy, and the minimum image distance in Ang that gives them."""


@dataclass
class Row:
    """One line of the table."""

    atoms: int
    hop: str
    way: str
    calls: int
    cpu_s: float
    wall_s: float
    outside_model_percent: float | None
    barrier_ev: float
    range_ev: float
    converged: bool


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cells', type=int, nargs='+', default=sorted(CELLS), choices=sorted(CELLS))
    parser.add_argument('--hops', nargs='+', default=HOPS)
    parser.add_argument('--protocols', nargs='+', default=['litraj-2025-dft', 'balanced', 'tight'])
    parser.add_argument('--potential', default='7net-0')
    parser.add_argument('--processes', type=int, default=1)
    parser.add_argument('--images', type=int, default=5)
    parser.add_argument('--no-ase', action='store_true')
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    chosen = parser.parse_args()
    rows: list[Row] = []
    for atoms in chosen.cells:
        for hop in chosen.hops:
            path = hop_in('Li3PO4_gamma', hop, CELLS[atoms], chosen.images)
            if not chosen.no_ase:
                rows.append(_with_ase(path, atoms, hop, chosen.potential))
                _print(rows[-1], rows)
            for protocol in chosen.protocols:
                rows.append(_with_engine(path, atoms, hop, protocol, chosen.potential, chosen.processes))
                _print(rows[-1], rows)
            if chosen.json is not None:
                chosen.json.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    if len(chosen.hops) > 1:
        for atoms in chosen.cells:
            paths = {
                f'hop{k}': hop_in('Li3PO4_gamma', hop, CELLS[atoms], chosen.images) for k, hop in enumerate(chosen.hops)
            }
            _together(paths, atoms, chosen.potential, chosen.processes)


def _with_ase(path: object, atoms: int, hop: str, potential: str) -> Row:
    from sevenn.calculator import SevenNetCalculator

    calculator = SevenNetCalculator(potential, device='cpu')
    cpu, wall = time.process_time(), time.perf_counter()
    found = neb_with_ase(path, calculator, fmax=0.1, max_steps=100, spring=5.0)
    return Row(
        atoms,
        hop,
        'ASE, FIRE',
        found.calls,
        time.process_time() - cpu,
        time.perf_counter() - wall,
        None,
        barrier(found.energies),
        found.range,
        found.fmax_component < 0.1,
    )


def _with_engine(path: object, atoms: int, hop: str, protocol: str, potential: str, processes: int) -> Row:
    spec = PotentialSpec(family='sevennet', name=potential)
    runtime = Runtime(device='cpu', processes=processes)
    with tempfile.TemporaryDirectory() as folder:
        cpu, wall = time.process_time(), time.perf_counter()
        result, arrays = neb_with_engine(Path(folder), {'hop': path}, spec, parameters(protocol), runtime=runtime)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    audit, energies = result.audit, arrays['hop/energies']
    outside = 100.0 * (1.0 - audit.model_seconds / (audit.wall_seconds * processes))
    return Row(
        atoms,
        hop,
        protocol,
        audit.model_calls,
        cpu if processes == 1 else audit.cpu_seconds,
        wall,
        outside,
        barrier(energies),
        float(np.ptp(energies)),
        result.items[0].converged,
    )


def _together(paths: dict[str, object], atoms: int, potential: str, processes: int) -> None:
    """All hops in one job: ends that are the same vacancy are relaxed once."""
    spec = PotentialSpec(family='sevennet', name=potential)
    runtime = Runtime(device='cpu', processes=processes)
    with tempfile.TemporaryDirectory() as folder:
        result, _ = neb_with_engine(Path(folder), paths, spec, parameters('balanced'), runtime=runtime)
    shared = sum(
        name is not None for item in result.items for name in (item.source_shared_with, item.target_shared_with)
    )
    sys.stdout.write(
        f'{atoms:5d}  all {len(paths)} hops in one balanced job: {result.audit.model_calls} calls, '
        f'{shared} of {2 * len(paths)} ends shared\n'
    )


def _print(row: Row, rows: list[Row]) -> None:
    if len(rows) == 1:
        sys.stdout.write(
            f'{"atoms":>5s}  {"hop":12s} {"way":16s} {"calls":>5s} {"CPU s":>7s} {"wall s":>7s} {"outside":>8s} '
            f'{"barrier":>8s} {"max-min":>8s} {"conv.":5s} {"calls/ASE":>9s} {"CPU/ASE":>8s}\n'
        )
    reference = next((r for r in rows if (r.atoms, r.hop) == (row.atoms, row.hop) and r.way.startswith('ASE')), None)
    outside = '' if row.outside_model_percent is None else f'{row.outside_model_percent:.2f} %'
    ratios = '' if reference is None else f'{row.calls / reference.calls:9.2f} {row.cpu_s / reference.cpu_s:8.2f}'
    sys.stdout.write(
        f'{row.atoms:5d}  {row.hop:12s} {row.way:16s} {row.calls:5d} {row.cpu_s:7.1f} {row.wall_s:7.1f} {outside:>8s} '
        f'{row.barrier_ev:8.4f} {row.range_ev:8.4f} {row.converged!s:5s} {ratios}\n'
    )
    sys.stdout.flush()


if __name__ == '__main__':
    main()
