"""Reference labels: rattled crystals by a DFT code, and how far potentials are from them.

    verdi run examples/06_dft_labels.py
    verdi run -- examples/06_dft_labels.py --help
    verdi run -- examples/06_dft_labels.py --potential 7net-0 --potential 7net-l3i5 --frames 3 --protocol balanced

It wants a DFT code, which "aiida-litraj setup-dft" finds and makes (GPAW: apt install gpaw gpaw-data), and an imported
potential, by default 7net-0. Lithium sulfide and gamma-Li3PS4, their atoms displaced at random, took two minutes of two
cores in the protocol fast. What cannot be labelled is told and left out. Run it again, and labels come from the cache.
Warnings of the labels come again at the end: below them stands what to type next.
The last line is one JSON object: how many were labelled, how many failed, the error of the forces by potential, and the
warnings.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from aiida.manage.caching import enable_caching
from aiida.plugins import WorkflowFactory

from aiida_litraj.cli.configurations import load_configurations
from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.foreground import instantiate, run_with_progress
from aiida_litraj.cli.label import print_labels, save_picture
from aiida_litraj.cli.processes import failure_of, result_of
from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.choose import choose_code, computer_of
from aiida_litraj.codes.dft import choose_dft_code
from aiida_litraj.codes.potentials import load_potential
from aiida_litraj.groups.pseudo_families import only_family
from aiida_litraj.workflows.backends import of_code

# Under ``verdi run`` only the arguments say where this file is.
HERE = Path(sys.argv[0]).resolve().parent
DEFAULT = '7net-0'
CRYSTALS = [str(HERE / 'structures' / name) for name in ('Li2S.cif', 'Li3PS4_gamma.cif')]


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description='Labels of rattled crystals, and the errors of potentials on them.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('crystals', nargs='*', default=CRYSTALS, help='files of crystals')
    parser.add_argument('--code', default='gpaw', help='DFT code, as aiida-litraj setup-dft has made it')
    parser.add_argument('--protocol', default='fast', help='of the labels: fast, balanced, lips25, litraj-2025')
    parser.add_argument(
        '--potential', dest='potentials', action='append', default=argparse.SUPPRESS, metavar='NAME',
        help=f'imported potential; repeatable (default: {DEFAULT})',
    )  # fmt: skip
    parser.add_argument('--frames', type=int, default=1, help='rattled configurations of each crystal')
    parser.add_argument('--rattle', type=float, default=0.08, help='standard deviation of the displacements in Ang')
    parser.add_argument('--seed', type=int, default=0, help='of the displacements')
    own = {'default': argparse.SUPPRESS}
    parser.add_argument('--cutoff', type=float, metavar='EV', help='instead of that of the protocol', **own)
    parser.add_argument('--mesh', type=int, nargs=3, metavar='N', help='k-points, instead of the spacing', **own)
    parser.add_argument('--processes', type=int, default=2, help='calculations at a time')
    parser.add_argument('--picture', type=Path, default=HERE.parent / 'results' / 'labels.png', help='file to draw')
    return parser.parse_args()


def label(arguments: argparse.Namespace) -> Any:
    """Return the chain of labels, which has ended and has some."""
    code = choose_dft_code(arguments.code)
    level = {'cutoff_ev': getattr(arguments, 'cutoff', None), 'kpoint_mesh': getattr(arguments, 'mesh', None)}
    overrides = {'level': {key: value for key, value in level.items() if value is not None}}
    chain = WorkflowFactory('litraj.label')
    settings = {}
    if of_code(code) == 'quantumespresso':
        settings = {'pseudo_family': only_family(chain.get_protocol_inputs(arguments.protocol)['level']['functional'])}
    frames = load_configurations(arguments.crystals * arguments.frames, arguments.rattle, arguments.seed)
    builder = chain.get_builder_from_protocol(
        code, frames, arguments.protocol, overrides, settings, max_in_flight=arguments.processes
    )
    with enable_caching(identifier='aiida.calculations:*'):
        return run_with_progress(instantiate(builder), 'Labels')


def evaluate(frames: Any, names: list[str]) -> Any:
    """Return the chain that has compared potentials with the labels."""
    potentials, jobs = {}, {}
    for name in names:
        potential = load_potential(name)
        code = choose_code(None, potential.family)
        key = ''.join(letter if letter.isalnum() else '_' for letter in name)
        potentials[key] = {'code': code, 'potential': potential}
        jobs[key] = {'computer': computer_of(code).label}
    builder = WorkflowFactory('litraj.evaluate').get_builder_from_protocol(potentials, frames, jobs=jobs)
    with enable_caching(identifier='aiida.calculations:*'):
        return run_with_progress(instantiate(builder), 'Evaluation')


def main() -> None:
    """Label, compare, and print the errors of each potential."""
    arguments = read_arguments()
    names = getattr(arguments, 'potentials', [DEFAULT])
    for name in names:
        load_potential(name)  # refused before DFT has run for minutes
    chain = label(arguments)
    result = result_of(chain)
    if result is None or not result['labelled']:
        sys.exit(f'{failure_of(chain).format_message()}; log: verdi process report {chain.pk}')
    print_labels(result)
    print(f'Picture {save_picture(chain, arguments.picture)}')
    compared = evaluate(chain.outputs.frames, names)
    errors = {key: node.get_dict() for key, node in dict(compared.outputs.errors).items()}
    rmse, slopes = {}, {}
    for name in names:
        found = errors.get(''.join(letter if letter.isalnum() else '_' for letter in name), {})
        rmse[name], slopes[name] = found.get('rmse_force_mev_per_ang'), found.get('slope_force')
        if rmse[name] is not None:
            print(f'{name}: forces {rmse[name]:.1f} meV/Å off, slope {slopes[name]:.2f}')
    said = [*result['warnings'], *(one for each in errors.values() for one in each['warnings'])]
    warnings = list(dict.fromkeys(said))
    for warning in warnings:
        print(f'Warning: {warning}')
    print(f'Labels: chain {chain.pk}; comparison: chain {compared.pk}')
    print(f'Next: aiida-litraj show {compared.pk}; its picture: aiida-litraj plot {compared.pk} -o parity.png')
    print(
        json.dumps(
            {
                'uuid': chain.uuid,
                'pk': chain.pk,
                'evaluation_uuid': compared.uuid,
                'evaluation_pk': compared.pk,
                'labelled': result['labelled'],
                'failed': result['failed'],
                'rmse_force_mev_per_ang': rmse,
                'slope_force': slopes,
                'warnings': warnings,
            }
        )
    )


if __name__ == '__main__':
    try:
        main()
    except (Refusal, SetupProblem) as refusal:
        print(f'Error: {refusal.message}. {refusal.remedy or ""}', file=sys.stderr)
        sys.exit(1)
    except ValueError as refusal:
        print(f'Error: {refusal}', file=sys.stderr)
        sys.exit(1)
