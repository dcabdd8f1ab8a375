"""Where a potential survives: anneals of a random start on a small grid of temperatures and pressures.

    verdi run examples/04_robustness_grid.py
    verdi run examples/04_robustness_grid.py --potential 7net-0 --atoms 96 --protocol quick

Without options it takes the analytic Morse potential, which has to be imported first,

    aiida-litraj potential import --family toy --name morse

and a minute; the second line above takes half an hour on two cores. The hottest anneals die, which is the answer, not
a failure. Run it again and the jobs come from the cache.
The last line is one JSON object with the summary of the grid.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from aiida.manage.caching import enable_caching
from aiida.plugins import WorkflowFactory

from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.foreground import instantiate, run_with_progress
from aiida_litraj.cli.processes import failure_of, result_of
from aiida_litraj.cli.robustness import print_robustness, save_picture
from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.choose import choose_code, computer_of
from aiida_litraj.codes.potentials import load_potential
from aiida_litraj.codes.profile import CACHED

# Under ``verdi run`` only the arguments say where this file is.
HERE = Path(sys.argv[0]).resolve().parent
SMALL = {'temperatures_k': [1e3, 1e6, 3e6], 'pressures_pa': [1e6, 1e9, 1e12], 'repeats': 3, 'duration_ps': 0.04}
"""Much hotter than the published grid: a pair potential is hard to kill."""


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description='Robustness grid of a potential on a random start.')
    parser.add_argument('--potential', default='morse', help='label of an imported potential')
    parser.add_argument('--code', default=None, help='code to run; by default the one with the family')
    parser.add_argument('--composition', default='Li3PS4', help='of the random start')
    parser.add_argument('--atoms', type=int, default=16, help='of the random start')
    parser.add_argument('--seed', type=int, default=0, help='of the start and of the anneals')
    parser.add_argument('--protocol', default=None, help='take the whole grid of a protocol: quick, lips25-2025')
    parser.add_argument('--processes', type=int, default=None, help='worker processes on a CPU')
    parser.add_argument('--picture', type=Path, default=HERE.parent / 'results' / 'robustness.png')
    return parser.parse_args()


def main() -> None:
    """Anneal on the grid, draw it and print its summary."""
    arguments = read_arguments()
    potential = load_potential(arguments.potential)
    code = choose_code(arguments.code, potential.family)
    packing = {'composition': arguments.composition, 'n_atoms': arguments.atoms, 'seed': arguments.seed}
    grid = {'seed': arguments.seed} | ({} if arguments.protocol else SMALL)
    builder = WorkflowFactory('litraj.robustness').get_builder_from_protocol(
        potentials={'potential': {'code': code, 'potential': potential}},
        protocol=arguments.protocol or 'quick',
        overrides={'packing': packing, 'grid': grid},
        options={} if arguments.processes is None else {'processes': arguments.processes},
        computer=computer_of(code),
    )
    with enable_caching(identifier=CACHED):
        chain = run_with_progress(instantiate(builder), 'Robustness grid')
    result = result_of(chain)
    if result is None:
        sys.exit(f'{failure_of(chain).format_message()}; log: verdi process report {chain.pk}')
    print_robustness(result)
    print(f'Picture {save_picture(chain, arguments.picture)}')
    grid = result['grids']['potential']
    cells = [
        {key: cell[key] for key in ('temperature_k', 'pressure_pa', 'colour', 'n_survived', 'contact_percent')}
        for cell in grid['cells']
    ]
    print(json.dumps({'uuid': chain.uuid, **result['summary']['potential'], 'cells': cells}))


if __name__ == '__main__':
    try:
        main()
    except (Refusal, SetupProblem) as refusal:
        print(f'Error: {refusal.message}. {refusal.remedy or ""}', file=sys.stderr)
        sys.exit(1)
    except ValueError as refusal:
        print(f'Error: {refusal}', file=sys.stderr)
        sys.exit(1)
