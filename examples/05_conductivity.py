"""Ionic conductivity at room temperature, from a crystal and a potential to a picture.

    verdi run examples/05_conductivity.py
    verdi run examples/05_conductivity.py --potential 7net-0 --structure examples/structures/Li2S.cif --duration 5

Without options an analytic potential stands for a conductor: lithium on the sites of a rigid framework, with a barrier
of 0.2 eV between them, which the activation energy should find again, within its interval and about kT. With a real
potential the same takes hours; "--protocol balanced" is then what to run on a GPU.
Run it again and the calculations come from the cache. The last line is one JSON object with the main figures, null
where nothing can be said; the warnings say why.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from aiida.manage.caching import enable_caching
from aiida.orm import StructureData
from aiida.plugins import WorkflowFactory

from aiida_litraj.cli.conductivity import conductivity_line, plan_text, save_picture
from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.foreground import instantiate, run_with_progress
from aiida_litraj.cli.processes import failure_of, result_of
from aiida_litraj.cli.structures import load_structure
from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.choose import choose_code, computer_of
from aiida_litraj.codes.potentials import Request, import_potential, load_potential
from aiida_litraj.codes.profile import CACHED

# Under ``verdi run`` only the arguments say where this file is.
HERE = Path(sys.argv[0]).resolve().parent
TOY, SPACING_ANG, BARRIER_EV = 'site_lattice', 3.0, 0.2


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description='Ionic conductivity at room temperature.')
    parser.add_argument('--potential', default=None, help='label of an imported potential; by default an analytic one')
    parser.add_argument('--structure', default=None, help='file or node; by default that of the analytic potential')
    parser.add_argument('--temperatures', default='800,1000,1300', help='in K, with commas between')
    parser.add_argument('--repeats', type=int, default=3, help='runs at each temperature')
    parser.add_argument('--duration', type=float, default=6.0, metavar='PS', help='of each run')
    parser.add_argument('--supercell-min', type=float, default=10.0, metavar='ANG', help='distance to the own image')
    parser.add_argument('--protocol', default='quick')
    parser.add_argument('--code', default=None, help='code to run; by default the one with the family')
    parser.add_argument('--picture', type=Path, default=HERE.parent / 'results' / 'conductivity.png')
    return parser.parse_args()


def toy_crystal() -> StructureData:
    """Return the crystal of the analytic potential: simple cubic sulphur, lithium in a quarter of the centres."""
    crystal = StructureData(cell=[[2 * SPACING_ANG * (i == j) for j in range(3)] for i in range(3)])
    for i, j, k in ((i, j, k) for i in range(2) for j in range(2) for k in range(2)):
        crystal.append_atom(position=(SPACING_ANG * i, SPACING_ANG * j, SPACING_ANG * k), symbols='S')
        if i == j and j != k:
            place = (SPACING_ANG * (i + 0.5), SPACING_ANG * (j + 0.5), SPACING_ANG * (k + 0.5))
            crystal.append_atom(position=place, symbols='Li')
    crystal.label = 'toy conductor'
    return crystal


def main() -> None:
    """Compute the conductivity, draw it and print both."""
    arguments = read_arguments()
    temperatures = [float(one) for one in arguments.temperatures.split(',')]
    overrides: dict[str, Any] = {
        'settings': {
            'temperatures_k': temperatures,
            'repeats': arguments.repeats,
            'min_image_distance_ang': arguments.supercell_min,
            'production': {'duration_ps': arguments.duration},
        }
    }
    if arguments.potential is None:
        options = {'barrier': BARRIER_EV, 'spacing': SPACING_ANG}
        code = choose_code(arguments.code, 'toy')
        potential, _ = import_potential(Request('toy', TOY, label='toy conductor', options=options), code)
        # Its ions do not collide with anything, so only a thermostat with friction makes them forget their way.
        overrides['nvt'] = {'protocol': 'nvt-langevin'}
    else:
        potential = load_potential(arguments.potential)
        code = choose_code(arguments.code, potential.family)
    if arguments.structure is not None:
        structure = load_structure(arguments.structure)
    elif arguments.potential is None:
        structure = toy_crystal()
    else:
        structure = load_structure(str(HERE / 'structures' / 'Li2S.cif'))
    builder = WorkflowFactory('litraj.conductivity').get_builder_from_protocol(
        code=code,
        computer=computer_of(code),
        potential=potential,
        structure=structure,
        protocol=arguments.protocol,
        overrides=overrides,
    )
    print(plan_text(builder), file=sys.stderr)
    with enable_caching(identifier=CACHED):
        chain = run_with_progress(instantiate(builder), 'Conductivity')
    result = result_of(chain)
    if result is None:
        sys.exit(f'{failure_of(chain).format_message()}; log: verdi process report {chain.pk}')
    print(f'{conductivity_line(result)}, chain {chain.pk}')
    print(f'Picture {save_picture(chain, arguments.picture)}')
    print(json.dumps(result))


if __name__ == '__main__':
    try:
        main()
    except Refusal as refusal:
        print(f'{refusal.title}: {refusal.message}. {refusal.remedy or ""}', file=sys.stderr)
        sys.exit(refusal.exit_code)
    except (SetupProblem, ValueError) as problem:
        sys.exit(f'Error: {problem}')
