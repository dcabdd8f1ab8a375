"""How far the forces of potentials are off in a melt, on the way down and in the glass: task 2 of LiPS-25, made small.

    verdi run examples/07_force_accuracy.py
    verdi run examples/07_force_accuracy.py --potential 7net-0 --potential 7net-l3i5 --snapshots 12 --picoseconds 1

It wants a DFT code, which "aiida-litraj setup-dft" finds and makes (GPAW: apt install gpaw gpaw-data), and imported
potentials, by default 7net-0; the first one drives the melt-quench. A few minutes of two cores.

What is small here: one unit cell of gamma-Li3PS4 (16 atoms) in the place of Li7P3S11, a melt of 0.06 ps, which shakes
the crystal and does not melt it, six snapshots, and labels of the protocol fast, PBE at 340 eV with few k-points.
So it shows how it is done and about how large the errors are; it reproduces no published number. The real thing is
"aiida-litraj launch force-accuracy Li7P3S11.cif --driver ... --protocol lips25-2025". Run it again and all comes from
the cache.
The last line is one JSON object: RMSE of the forces by potential, its interval, and the slope.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from aiida.manage.caching import enable_caching
from aiida.plugins import WorkflowFactory

from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.force_accuracy import print_force_accuracy, save_picture
from aiida_litraj.cli.foreground import instantiate, run_with_progress
from aiida_litraj.cli.processes import failure_of, result_of
from aiida_litraj.cli.structures import load_structure
from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.choose import choose_code, computer_of
from aiida_litraj.codes.dft import choose_dft_code
from aiida_litraj.codes.potentials import load_potential

# Under ``verdi run`` only the arguments say where this file is.
HERE = Path(sys.argv[0]).resolve().parent
CRYSTAL = HERE / 'structures' / 'Li3PS4_gamma.cif'


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description='Errors of forces over the stages of a melt-quench.')
    parser.add_argument('crystal', nargs='?', default=str(CRYSTAL), help='what is melted')
    parser.add_argument('--potential', dest='potentials', action='append', help='imported potential; repeatable')
    parser.add_argument('--code', default='gpaw', help='DFT code, as aiida-litraj setup-dft has made it')
    parser.add_argument('--temperature', type=float, default=1200.0, help='of the melt, in K')
    parser.add_argument('--picoseconds', type=float, default=0.06, help='of each stage')
    parser.add_argument('--snapshots', type=int, default=6, help='to be labelled; fewer than five have no interval')
    parser.add_argument('--cutoff', type=float, default=None, help='of the labels in eV, instead of that of fast')
    parser.add_argument('--processes', type=int, default=2, help='calculations, and worker processes, at a time')
    parser.add_argument('--picture', type=Path, default=HERE.parent / 'results' / 'force_accuracy.png')
    return parser.parse_args()


def build(arguments: argparse.Namespace, names: list[str]) -> tuple[Any, dict[str, str]]:
    """Return the builder, and what each potential is called in it."""
    potentials, jobs, keys = {}, {}, {}
    options = {'processes': arguments.processes, 'resources': {'num_machines': 1, 'num_mpiprocs_per_machine': 1}}
    for name in names:
        potential = load_potential(name)
        code = choose_code(None, potential.family)
        keys[name] = key = ''.join(letter if letter.isalnum() else '_' for letter in name).strip('_')
        potentials[key] = {'code': code, 'potential': potential}
        jobs[key] = {'computer': computer_of(code).label, 'options': options}
    driver = potentials[keys[names[0]]]
    stage = arguments.picoseconds
    schedule = {
        'melt_temperature_k': arguments.temperature, 'melt_ps': stage, 'quench_ps': stage, 'hold_ps': stage,
        'n_snapshots': arguments.snapshots,
    }  # fmt: skip
    overrides: dict[str, Any] = {
        'melt_quench': {'schedule': schedule}, 'sample': {'max_frames': arguments.snapshots},
    }  # fmt: skip
    if arguments.cutoff is not None:
        overrides['label'] = {'level': {'cutoff_ev': arguments.cutoff}}
    builder = WorkflowFactory('litraj.force_accuracy').get_builder_from_protocol(
        potentials=potentials,
        structure=load_structure(arguments.crystal),
        driver=driver,
        dft_code=choose_dft_code(arguments.code),
        protocol='fast',
        overrides=overrides,
        options=options,
        computer=computer_of(driver['code']),
        jobs=jobs,
        label={'max_in_flight': arguments.processes},
    )
    return builder, keys


def main() -> None:
    """Melt, label, compare, and print the errors of each potential."""
    arguments = read_arguments()
    names = arguments.potentials or ['7net-0']
    builder, keys = build(arguments, names)
    with enable_caching(identifier='aiida.calculations:*'):
        chain = run_with_progress(instantiate(builder), 'Force accuracy')
    result = result_of(chain)
    if result is None:
        sys.exit(f'{failure_of(chain).format_message()}; log: verdi process report {chain.pk}')
    print_force_accuracy(result)
    print(f'Picture {save_picture(chain, arguments.picture)}')
    found = {
        name: result['potentials'][key]['stages']['all'] for name, key in keys.items() if key in result['potentials']
    }
    summary = {
        'uuid': chain.uuid,
        'labelled': result['n_labelled'],
        'snapshots': result['n_snapshots'],
        'rmse_force_mev_per_ang': {name: one['rmse_force_mev_per_ang'] for name, one in found.items()},
        'rmse_force_mev_per_ang_interval': {
            name: one['rmse_force_mev_per_ang_interval'] for name, one in found.items()
        },
        'slope': {name: one['slope_force'] for name, one in found.items()},
    }
    print(json.dumps(summary))


if __name__ == '__main__':
    try:
        main()
    except (Refusal, SetupProblem) as refusal:
        print(f'Error: {refusal.message}. {refusal.remedy or ""}', file=sys.stderr)
        sys.exit(1)
    except ValueError as refusal:
        print(f'Error: {refusal}', file=sys.stderr)
        sys.exit(1)
