"""Barrier of a lithium hop in gamma-Li3PO4, from crystal and potential to a picture.

    verdi run examples/01_barrier_li3po4.py --supercell-min 8 --images 7 --protocol balanced --potential 7net-0

The ion at site 0 of the crystal goes to the vacancy at site 6. Run it again and the calculation comes from the cache;
stop it with Ctrl-C and the next run goes on from there.
The last line is one JSON object with the main figures.
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
from aiida_litraj.cli.launch import announce
from aiida_litraj.cli.plot import save_energy_profile
from aiida_litraj.cli.processes import failure_of, result_of
from aiida_litraj.cli.structures import load_structure
from aiida_litraj.codes.choose import choose_code, computer_of
from aiida_litraj.codes.potentials import load_potential
from aiida_litraj.codes.profile import CACHED

# Under ``verdi run`` only the arguments say where this file is.
HERE = Path(sys.argv[0]).resolve().parent
HOP = {'source': 0, 'target': 6, 'offset': [0, 0, 0], 'mechanism': 'vacancy', 'mobile_element': 'Li'}


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description='Barrier of a lithium hop in gamma-Li3PO4.')
    parser.add_argument('--supercell-min', type=float, default=8.0, metavar='ANG', help='distance to the own image')
    parser.add_argument('--images', type=int, default=7, help='images of the path, both ends included')
    parser.add_argument('--protocol', default='balanced')
    parser.add_argument('--potential', default='7net-0', help='label of an imported potential')
    parser.add_argument('--code', default=None, help='code to run; by default the one with the family')
    parser.add_argument('--picture', type=Path, default=HERE.parent / 'results' / 'barrier_li3po4.png')
    return parser.parse_args()


def main() -> None:
    """Compute the barrier, draw its profile and print both."""
    arguments = read_arguments()
    potential = load_potential(arguments.potential)
    code = choose_code(arguments.code, potential.family)
    builder = WorkflowFactory('litraj.barrier').get_builder_from_protocol(
        code=code,
        computer=computer_of(code),
        structure=load_structure(str(HERE / 'structures' / 'Li3PO4_gamma.cif')),
        hop=HOP,
        potential=potential,
        protocol=arguments.protocol,
        overrides={'geometry': {'min_image_distance_ang': arguments.supercell_min, 'n_images': arguments.images}},
    )
    announce(builder)
    with enable_caching(identifier=CACHED):
        chain = run_with_progress(instantiate(builder), 'Lithium hop in Li3PO4')
    result = result_of(chain)
    if result is None:
        sys.exit(f'{failure_of(chain).format_message()}; log: verdi process report {chain.pk}')
    print(f'Barrier {result["barrier_ev"]:.3f} eV, {result["model_calls"]} model calls, chain {chain.pk}')
    print(f'Picture {save_energy_profile(chain, arguments.picture)}')
    print(json.dumps(result))


if __name__ == '__main__':
    try:
        main()
    except Refusal as refusal:
        print(f'{refusal.title}: {refusal.message}. {refusal.remedy or ""}', file=sys.stderr)
        sys.exit(refusal.exit_code)
