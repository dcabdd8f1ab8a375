"""Potentials side by side on migration barriers, as the LiTraj benchmark has them, on hops of real crystals.

    verdi run examples/10_benchmark_potentials.py
    verdi run -- examples/10_benchmark_potentials.py --all --processes 2
    verdi run -- examples/10_benchmark_potentials.py --help

THE REFERENCE IS NO DFT: it is SevenNet-l3i5, a stronger potential, with every path converged tightly. So what comes out
is how far the others are from SevenNet-l3i5, and its own row shows what the protocol alone is off. For DFT take
nebDFT2k, if you have it:

    aiida-litraj dataset import nebDFT2k.zip
    aiida-litraj launch neb-benchmark nebDFT2k --protocol litraj-2025 --potential 7net-0 --potential 7net-l3i5 \\
        --max-jobs 20 --walltime 24h --daemon

It wants "aiida-litraj setup" with SevenNet, CHGNet and MACE (examples/environment.sh sevennet, chgnet, mace), and the
potentials, once each:

    aiida-litraj potential import --family sevennet --name 7net-0
    aiida-litraj potential import --family sevennet --name 7net-l3i5
    aiida-litraj potential import --family chgnet --name 0.3.0 --label chgnet

A MACE is trained here on configurations of examples/data: it knows Li, P and S only, and shows what a potential scores
that nobody should compute with; --no-mace does without. Without options there are four hops of two crystals in small
cells, five minutes on two cores; --all takes four hops of each of six crystals at 8 Ang between images, and a night.
Stop it at any time: the next run goes on. The hops with their reference are a data set in the format of nebDFT2k, in
results/, so that other potentials can be compared by "aiida-litraj launch neb-benchmark NAME --potential ...".
The last line is one JSON object: n_paths, and of each potential mae_ev, its interval, pa_mae_ang and converged.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import ase.io
from aiida.manage.caching import enable_caching
from aiida.plugins import WorkflowFactory

from aiida_litraj.analysis import Geometry
from aiida_litraj.analysis.frames import from_ase
from aiida_litraj.cli.errors import Refusal
from aiida_litraj.cli.foreground import instantiate, run_with_progress
from aiida_litraj.cli.neb_benchmark import plan_text, print_benchmark, save_picture
from aiida_litraj.cli.processes import failure_of, result_of
from aiida_litraj.cli.structures import read_file
from aiida_litraj.codes import SetupProblem
from aiida_litraj.codes.choose import choose_code, computer_of
from aiida_litraj.codes.potentials import load_potential
from aiida_litraj.data import FramesData, PathData
from aiida_litraj.datasets.card import Card, load_card
from aiida_litraj.datasets.entry import Entry
from aiida_litraj.datasets.importers import importer_of
from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.make.crystals import Material
from aiida_litraj.datasets.make.hops import MadeHop, lay_out, list_hops
from aiida_litraj.groups.hops import hop_name, hops_of_set

# Under ``verdi run`` only the arguments say where this file is.
HERE = Path(sys.argv[0]).resolve().parent
FEW, SIX = ('Li2S', 'Li2O'), ('Li2S', 'Li2O', 'Li3PS4_gamma', 'Li3PS4_beta', 'Li3PO4_gamma', 'Li4P2S6')
REFERENCE = '7net-l3i5'
VALID = 'Li4P2S6'
"""Material of examples/data that tells the best epoch of the MACE."""


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description='Barriers of potentials beside those of a stronger one.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('--all', action='store_true', help='six crystals, four hops each, 8 Ang between images')
    parser.add_argument('--crystals', nargs='+', default=None, metavar='NAME', help='of examples/structures')
    parser.add_argument('--hops', type=int, default=None, help='of each crystal; 2, or 4 with --all')
    parser.add_argument('--supercell-min', type=float, default=None, metavar='ANG', help='4.5, or 8 with --all')
    parser.add_argument('--images', type=int, default=None, help='of a path; 5, or 7 with --all')
    parser.add_argument('--reference', default=REFERENCE, help='potential that paths are compared with')
    parser.add_argument('--reference-protocol', default='tight', help='of its paths')
    parser.add_argument(
        '--potentials', nargs='+', default=['7net-0', REFERENCE, 'chgnet'], metavar='NAME', help='judged'
    )
    parser.add_argument('--no-mace', dest='mace', action='store_false', help='train no MACE')
    parser.add_argument('--protocol', default='balanced', help='of the benchmark')
    parser.add_argument('--tight-sample', type=int, default=2, help='hops converged tightly by each potential as well')
    parser.add_argument('--processes', type=int, default=None, help='worker processes on a CPU')
    parser.add_argument('--folder', type=Path, default=HERE.parent / 'results', help='where the set is written')
    parser.add_argument('--picture', type=Path, default=HERE.parent / 'results' / 'benchmark.png', help='file to draw')
    arguments = parser.parse_args()
    for name, few, many in (('crystals', FEW, SIX), ('hops', 2, 4), ('supercell_min', 4.5, 8.0), ('images', 5, 7)):
        if getattr(arguments, name) is None:
            setattr(arguments, name, many if arguments.all else few)
    return arguments


def made_hops(arguments: argparse.Namespace) -> dict[str, MadeHop]:
    """Return the hops by name, laid out as those of nebDFT2k: vacancies, the ion that moves first."""
    geometry = Geometry(
        min_image_distance_ang=arguments.supercell_min, n_images=arguments.images, site_tolerance_ang=0.5
    )
    found: dict[str, MadeHop] = {}
    for name in arguments.crystals:
        material = Material(name.replace('_', '-'), read_file(str(HERE / 'structures' / f'{name}.cif')))
        for hop in list_hops(material.atoms, arguments.hops):
            made = lay_out(material, hop, geometry)
            found[hop_name(made.edge_id, found)] = made
    return found


def run(builder: Any, title: str) -> Any:
    """Run a chain, what equal jobs of before have done taken from there, and return its node."""
    with enable_caching(identifier='aiida.calculations:*'):
        chain = run_with_progress(instantiate(builder), title)
    if chain.exit_status is None or 0 < chain.exit_status < 500:
        sys.exit(f'{failure_of(chain).format_message()}; log: verdi process report {chain.pk}')
    return chain


def optimised(arguments: argparse.Namespace, hops: dict[str, MadeHop]) -> dict[str, PathData]:
    """Return the converged paths of the reference."""
    potential = load_potential(arguments.reference)
    code = choose_code(None, potential.family)
    paths = {name: PathData.from_images(hop.images, mobile=0) for name, hop in hops.items()}
    builder = WorkflowFactory('litraj.neb.packed').get_builder_from_protocol(
        code, paths, potential, protocol=arguments.reference_protocol, options=options_of(arguments),
        computer=computer_of(code), packing={'max_jobs': 1},
    )  # fmt: skip
    chain = run(builder, f'Reference {arguments.reference}')
    items = chain.outputs.results['items']
    found = {name: path for name, path in chain.outputs.paths.items() if items[name]['converged']}
    for name in sorted(set(hops) - set(found)):
        print(f'Warning: {name} has no converged reference and is left out: {items[name]["reason"]}')
    return found


def options_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the options of the jobs."""
    return {} if arguments.processes is None else {'processes': arguments.processes}


def as_set(arguments: argparse.Namespace, hops: dict[str, MadeHop], references: dict[str, PathData]) -> str:
    """Write the hops in the format of nebDFT2k, import them, and return the name of the set."""
    entries = [_entry(number, hops[name], path) for number, (name, path) in enumerate(sorted(references.items()))]
    content = b''.join(entry.frames.to_bytes() for entry in entries)
    name = f'hops-{arguments.reference}-{hashlib.sha256(content).hexdigest()[:8]}'
    card = _card(name, arguments, len(entries))
    folder = importer_of(card).write(card, entries, arguments.folder)
    report = import_dataset(folder, card, workers=0)
    print(f'Set {name}: {report.stored} paths imported, {report.present} were there; written to {folder}')
    return name


def _entry(number: int, hop: MadeHop, path: PathData) -> Entry:
    images = path.to_images()
    for image in images:
        image.set_constraint()
    energies = [image.get_potential_energy() for image in images]
    row = {
        'material_id': hop.material.id, 'edge_id': hop.edge_id, 'chemsys': hop.material.chemsys,
        'has_specific_TM': str(hop.material.has_transition_metal), 'em_dft': repr(max(energies) - min(energies)),
        '_split': 'test',
    }  # fmt: skip
    frames, initial, centroid = (from_ase(some) for some in (images, hop.images, [hop.centroid]))
    return Entry(hop.edge_id, 'test', hop.material.id, frames, {}, '', 0, number, row, initial, centroid)


def _card(name: str, arguments: argparse.Namespace, number: int) -> Card:
    """Return the card of the set: laid out like nebDFT2k, but nobody shall take its numbers for those of DFT."""
    known = load_card('nebDFT2k')
    own = {
        'name': name,
        'title': 'Li-ion vacancy hops, paths of a potential',
        'level_of_theory': f'{arguments.reference}, protocol {arguments.reference_protocol}: a potential, no DFT',
        'licence': 'CC-BY-4.0',  # of the crystals
        'notes': 'examples/10_benchmark_potentials.py; em_dft is the barrier of the potential',
        **dict.fromkeys(('citation', 'doi', 'url', 'size_bytes')),
        'n_entries': number,
        'splits': {'test': number},
        'properties': {key: value for key, value in known.properties.items() if key != 'em_bvse'},
    }
    return known.model_copy(update=own)


def trained_mace(arguments: argparse.Namespace) -> Any:
    """Return a MACE that has learnt the labels of examples/data, and nothing else."""
    images = ase.io.read(HERE / 'data' / 'lips_pbe_gpaw.extxyz', ':')
    sets = {}
    for part, wanted in (('train', False), ('valid', True)):
        chosen = [atoms for atoms in images if (atoms.info['material_id'] == VALID) is wanted]
        sets[part] = FramesData.from_frames(from_ase(chosen))
    code = choose_code(None, 'mace')
    builder = WorkflowFactory('litraj.train.base').get_builder_from_protocol(
        code, **sets, trainer='mace', protocol='fast', seeds=[0], held_out='materials', computer=computer_of(code),
        overrides={'parameters': {'epochs': 30, 'batch_size': 4}},
    )  # fmt: skip
    chain = run(builder, 'MACE from scratch')
    potential = next(iter(dict(chain.outputs.potentials).values()))
    number = sets['train'].n_frames
    print(f'Warning: {potential.label or "the MACE"} has learnt {number} configurations: compute nothing with it')
    return potential


def judged(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the potentials with their codes, by name."""
    found = {hop_name(label, ()): load_potential(label) for label in arguments.potentials}
    if arguments.mace:
        found['mace_of_the_example'] = trained_mace(arguments)
    return {name: {'code': choose_code(None, one.family), 'potential': one} for name, one in found.items()}


def main() -> None:
    """Make hops and their reference, judge the potentials, draw and print."""
    arguments = read_arguments()
    hops = made_hops(arguments)
    dataset = as_set(arguments, hops, optimised(arguments, hops))
    stored, potentials = hops_of_set(dataset), judged(arguments)
    jobs = {name: {'computer': computer_of(one['code']).label} for name, one in potentials.items()}
    builder = WorkflowFactory('litraj.neb_benchmark').get_builder_from_protocol(
        potentials,
        {name: hop.initial for name, hop in stored.items()},
        {name: hop.reference for name, hop in stored.items()},
        protocol=arguments.protocol,
        overrides={'analysis': {'tight_sample': arguments.tight_sample}},
        options=options_of(arguments),
        jobs=jobs,
    )
    print(plan_text(builder))
    chain = run(builder, 'Benchmark of barriers')
    result = result_of(chain)
    if result is None:
        sys.exit(f'{failure_of(chain).format_message()}; log: verdi process report {chain.pk}')
    print_benchmark(result)
    print(f'Picture {save_picture(chain, arguments.picture)}')
    print(f'The reference is {arguments.reference}, no DFT: these are distances from another potential')
    print(f'Next: aiida-litraj launch neb-benchmark {dataset} --potential ANOTHER; all: aiida-litraj show {chain.pk}')
    said = {name: summary(result['benchmark'][name]) for name in result['leaderboard']['ranking']}
    print(json.dumps({'uuid': chain.uuid, 'pk': chain.pk, 'dataset': dataset, 'reference': arguments.reference,
                      'n_paths': result['n_hops'], 'potentials': said}))  # fmt: skip


def summary(benchmark: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers of a potential, over the hops that converged, as published, and with failures charged."""
    errors = benchmark['errors']['range']
    good, charged = errors['converged_only'], errors['charged']
    return {
        'mae_ev': good['mae_ev']['value'],
        'mae_ev_interval': good['mae_ev']['interval'],
        'mae_ev_failed_as_constant': None if charged is None else charged['mae_ev_failed_as_constant']['value'],
        'pa_mae_ang': errors['path_error_ang_converged_only']['value'],
        'converged': benchmark['n_converged'],
        'model_calls': benchmark['cost']['model_calls'],
    }


if __name__ == '__main__':
    try:
        main()
    except (Refusal, SetupProblem) as refusal:
        print(f'{getattr(refusal, "title", "Error")}: {refusal.message}. {refusal.remedy or ""}', file=sys.stderr)
        sys.exit(1)
    except (OSError, ValueError) as refusal:
        print(f'Error: {refusal}', file=sys.stderr)
        sys.exit(1)
