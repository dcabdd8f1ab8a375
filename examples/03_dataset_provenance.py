"""From a line of a data set's file to a selection, and back: import, query, select, and ask where a number came from.

    verdi run examples/03_dataset_provenance.py --entries 1000 --select 25

Nothing is downloaded: the set has the publisher's layout (MPLiTrj), real crystals and the numbers of a toy potential.
With a copy of the real one, ``aiida-litraj dataset import`` does the same. Run it again and the
import finds everything in place. The last line is one JSON object with the main figures.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from aiida.orm import CalcFunctionNode, QueryBuilder, load_node
from aiida.plugins import DataFactory

from aiida_litraj.datasets.card import Card, load_card
from aiida_litraj.datasets.ingest.run import ImportReport, import_dataset
from aiida_litraj.datasets.make import make
from aiida_litraj.datasets.source import Source
from aiida_litraj.groups.dataset import DatasetGroup
from aiida_litraj.groups.query import count, find_entry
from aiida_litraj.groups.select import Selection, Wish, select

FramesData = DataFactory('litraj.frames')
FEW = 5000


def read_arguments() -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(description='Provenance of the entries of a data set.')
    parser.add_argument('--entries', type=int, default=1000, help='configurations to make and import')
    parser.add_argument('--select', type=int, default=25, help='how many of them to select')
    parser.add_argument('--fmax', type=float, default=2.0, metavar='EV/ANG', help='largest force of those selected')
    parser.add_argument('--name', help='what to call the set; by default made-<entries>')
    parser.add_argument(
        '--folder', type=Path, default=Path('results/datasets'),
        help='where the made file goes (default: %(default)s below the current folder, which git ignores here)',
    )  # fmt: skip
    return parser.parse_args()


def tell(question: str, answer: Any) -> None:
    """Print one line of the story."""
    print(f'  {question:<22} {answer}')


def card_of_made(name: str) -> Card:
    """Return the card of the made set: laid out like MPLiTrj, but nobody shall take its numbers for those of DFT."""
    own = {
        'name': name,
        'title': 'Made configurations in the layout of MPLiTrj',
        'level_of_theory': 'toy pair potential',
        'licence': 'CC-BY-4.0',  # of the crystals that it is made from
        'notes': 'python -m aiida_litraj.datasets.make',
        **dict.fromkeys(('citation', 'doi', 'url', 'size_bytes', 'n_entries')),
        'splits': dict.fromkeys(('train', 'val', 'test')),
    }
    return load_card('MPLiTrj').model_copy(update=own)


def imported_per_s(name: str, report: ImportReport) -> float:
    """Return the entries a second of the import that stored the set, which the set remembers."""
    extras = DatasetGroup.of(name).base.extras
    if report.stored:
        extras.set('import_per_s', round(report.import_per_s, 1))
    return float(extras.get('import_per_s', 0.0))


def line_of(archive: Path, file: str, line: int) -> str:
    """Return a line, counted from 1, of a file in the archive."""
    with Source.open(archive) as source, source.stream(file) as stream:
        return next(itertools.islice(stream, line - 1, None)).decode()


def follow(selection: Selection, archive: Path) -> dict[str, Any]:
    """Tell where the first configuration of a selection came from, from the graph alone, and look it up in the file."""
    chosen = selection.parts['selected']
    facts = chosen.base.attributes.all
    entry_id, (uuid, index) = facts['entry_ids'][0], facts['origins'][0]
    entry = load_node(uuid)
    importing, choosing = entry.creator, chosen.creator
    source, card = importing.inputs.source, importing.inputs.card
    file, line = entry.base.attributes.get('source_file'), entry.base.attributes.get('source_line')
    energy = float(chosen.frames[0].energies[0])

    print(f'Where does {entry_id} come from, the first of the selection, with {energy:.6f} eV?')
    tell('selection', f'node {chosen.pk}, configuration 0 of {chosen.n_frames}')
    how = choosing.inputs.criteria
    tell('chosen by', f'{choosing.process_label} {choosing.pk}: {how["strategy"]}, from {how["n_candidates"]} entries')
    tell('entry', f'node {entry.pk}, configuration {index}: {entry.base.attributes.get("formula")}')
    tell('stored by', f'{importing.process_label} {importing.pk}, {importing.base.attributes.get("n_entries")} at once')
    tell('read from', f'{source.label}, {source.base.attributes.get("size_bytes")} bytes, sha256 {source.sha256[:16]}…')
    tell('in it', f'{file}, line {line}')
    tell('on what terms', f'licence {card["licence"]}, theory: {card["level_of_theory"]}')
    comment = line_of(archive, file, line + 1)
    written = next(word for word in comment.split() if word.startswith('energy='))
    tell('what stands there', written)
    if float(written.partition('=')[2]) != energy:
        sys.exit(f'the file says {written}, the selection {energy!r} eV')
    return {'entry_id': entry_id, 'source_file': file, 'source_line': line, 'energy_ev': energy, 'entry': entry.uuid}


def selections_with(entry_uuid: str) -> list[str]:
    """Return the uuids of all selections that an entry is in: the question asked the other way round."""
    query = QueryBuilder().append(FramesData, filters={'uuid': entry_uuid}, tag='entry')
    query.append(
        CalcFunctionNode, with_incoming='entry', filters={'attributes.process_label': 'select_entries'}, tag='choice'
    )
    query.append(FramesData, with_incoming='choice', project='uuid')
    return query.distinct().all(flat=True)


def main() -> None:
    """Make, import, ask, select, and follow one configuration all the way."""
    arguments = read_arguments()
    name = arguments.name or f'made-{arguments.entries}'
    archive = make('MPLiTrj', arguments.folder / name, n=arguments.entries, zipped=True)
    print(f'Made {archive}, {archive.stat().st_size / 1e6:.1f} MB')

    workers = 0 if arguments.entries < FEW else None  # to start one takes longer than to read a few
    report = import_dataset(archive, card_of_made(name), workers=workers)
    per_s = imported_per_s(name, report)
    print(f'Imported {report.stored} entries, {report.present} were there; {len(report.problems)} problems')
    tell('entries a second', f'{per_s:.0f}')
    for split in DatasetGroup.of(name).splits:
        tell(split, count(f'{name}/{split}'))

    wanted = {'split': 'train', 'elements': ('Li',), 'fmax': (None, arguments.fmax)}
    print('Asked of the training data')
    tell('with Li', count(name, split='train', elements=('Li',)))
    tell('with Li, P and S', count(name, split='train', elements=('Li', 'P', 'S')))
    tell(f'forces to {arguments.fmax:g} eV/Ang', count(name, **wanted))
    tell('train/0 by name', f'node {load_node(find_entry(name, "train/0").uuid).pk}')

    selection = select(name, Wish(number=arguments.select, strategy='farthest'), **wanted)
    chosen = selection.parts['selected']
    formulas = sorted(
        {load_node(uuid).base.attributes.get('formula') for uuid, _ in chosen.base.attributes.get('origins')}
    )
    print(f'Selected {chosen.n_frames} of {selection.n_candidates}, as different as can be')
    tell('compounds', ' '.join(formulas))

    story = follow(selection, archive)
    tell('selections with it', len(selections_with(story['entry'])))
    print(
        json.dumps(
            {
                'entries': report.entries,
                'selected': chosen.n_frames,
                'import_per_s': per_s,
                'stored': report.stored,
                'selection': chosen.uuid,
                **story,
            }
        )
    )


if __name__ == '__main__':
    main()
