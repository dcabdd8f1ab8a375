"""Every layout: read from folder and zip, in pieces of any size, from any cursor, and back to the last digit."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from aiida_litraj.datasets.card import known_cards, load_card
from aiida_litraj.datasets.extxyz import blocks
from aiida_litraj.datasets.importers import LAYOUTS, importer_of
from aiida_litraj.datasets.source import Source

from . import tiny

COUNTS = {
    'nebDFT2k': 6, 'MPLiTrj': 12, 'MPLiTrj_subsample': 12, 'MPLiTrj_raw': 45, 'BVEL13k': 12, 'nebBVSE122k': 12,
    'LiPS-25': 9, 'OBELiX': 3,
}  # fmt: skip


def test_every_card_has_an_importer_and_a_tiny_set() -> None:
    assert set(known_cards()) == set(tiny.MAKERS) == set(COUNTS)
    for layout in LAYOUTS:
        assert importer_of(load_card('MPLiTrj').model_copy(update={'layout': layout})).layout == layout
    with pytest.raises(ValueError, match='known are nebdft2k'):
        importer_of(load_card('MPLiTrj').model_copy(update={'layout': 'other'}))


@pytest.mark.parametrize('name', COUNTS)
def test_a_set_survives_reading_and_writing_to_the_last_digit(name: str, tmp_path: Path) -> None:
    folder = tiny.MAKERS[name](tmp_path)
    entries, problems = tiny.read_all(folder, name)
    assert problems == []
    assert len(entries) == COUNTS[name] == len({entry.id for entry in entries})
    card = load_card(name)
    (tmp_path / 'again').mkdir()
    written = importer_of(card).write(card, entries, tmp_path / 'again')
    assert written == tmp_path / 'again' / name
    again, problems = tiny.read_all(written, name)
    assert problems == []
    assert tiny.content(again) == tiny.content(entries)
    assert [entry.number for entry in again] == [entry.number for entry in entries]
    # And once more: what is written twice is the same file.
    (tmp_path / 'twice').mkdir()
    twice = importer_of(card).write(card, again, tmp_path / 'twice')
    for path in (path for path in written.rglob('*') if path.is_file() and path.suffix != '.traj'):
        if not path.read_bytes().startswith(b'- of Ulm'):
            assert (twice / path.relative_to(written)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize('name', COUNTS)
def test_zip_and_folder_are_the_same_whatever_the_size_of_chunks(name: str, tmp_path: Path) -> None:
    folder = tiny.MAKERS[name](tmp_path)
    entries, _ = tiny.read_all(folder, name)
    archive = tiny.zipped(folder, 'MPLiTraj' if name == 'MPLiTrj' else None)
    for size in (1, 4, 500):
        others, problems = tiny.read_all(archive, name, size)
        assert problems == []
        assert tiny.content(others) == tiny.content(entries)
        assert [(one.file, one.line, one.number) for one in others] == [(e.file, e.line, e.number) for e in entries]


@pytest.mark.parametrize('name', COUNTS)
def test_reading_goes_on_at_any_chunk(name: str, tmp_path: Path) -> None:
    folder = tiny.MAKERS[name](tmp_path)
    card = load_card(name)
    importer = importer_of(card)
    for path in (folder, tiny.zipped(folder)):
        with Source.open(path) as source:
            for part in importer.parts(source, card)[0]:
                chunks = list(importer.chunks(source, card, part, size=2))
                for number, chunk in enumerate(chunks):
                    rest = list(importer.chunks(source, card, part, chunk.end, size=2))
                    assert rest == chunks[number + 1 :]


@pytest.mark.parametrize('name', COUNTS)
def test_lines_lead_back_into_the_source(name: str, tmp_path: Path) -> None:
    folder = tiny.MAKERS[name](tmp_path)
    entries, _ = tiny.read_all(folder, name, 2)
    for entry in entries:
        path = folder / entry.file
        if entry.line == 0:
            assert path.read_bytes().startswith(b'- of Ulm')
        else:
            line = path.read_text().splitlines()[entry.line - 1]
            assert line.split(',')[0] == entry.id or int(line) == entry.frames.n_atoms()


def test_configurations_have_energy_forces_and_stress(tmp_path: Path) -> None:
    entries, _ = tiny.read_all(tiny.mplitrj(tmp_path), 'MPLiTrj')
    assert [entry.id for entry in entries[:2] + entries[-1:]] == ['train/0', 'train/1', 'test/2']
    for entry in entries:
        assert entry.frames.energies is not None and entry.frames.forces is not None
        assert entry.frames.stresses is not None and entry.row is None


def test_a_path_has_its_row_its_beginning_and_its_centroid(tmp_path: Path) -> None:
    entries, _ = tiny.read_all(tiny.nebdft2k(tmp_path), 'nebDFT2k')
    entry = entries[4]
    assert (entry.id, entry.material, entry.split) == ('mp-2_4_3_0_0_-1', 'mp-2', 'val')
    assert entry.row is not None and entry.row['em_bvse'] == '0.410'
    assert entry.properties == {
        'em_dft': 0.617283945, 'em_bvse': 0.41, 'chemsys': 'Li-P-S', 'has_specific_TM': True,
    }  # fmt: skip
    assert entry.frames.n_frames == 5 and entry.frames.energies is not None
    assert entry.initial is not None and entry.initial.arrays['freezed'].reshape(5, 8)[0].tolist() == [False] + 7 * [
        True
    ]
    assert entry.centroid is not None and entry.centroid.numbers[-1] == 0
    assert entry.centroid.info[0]['edge_id'] == entry.id


def test_a_band_is_one_entry_per_step(tmp_path: Path) -> None:
    entries, _ = tiny.read_all(tiny.mplitrj_raw(tmp_path), 'MPLiTrj_raw')
    first = [entry.id.split('/')[1] for entry in entries[:15]]
    assert first == ['traj_init', 'source', 'target', *map(str, range(12))]
    band = entries[3 + 10]
    assert band.properties == {'pathway': 'mp-0_0_1_0_0_0.neb', 'step': 10}
    assert band.material == 'mp-0' and band.frames.n_frames == 3
    assert band.frames.energies is not None and np.isnan(band.frames.energies).tolist() == [False, True, False]


def test_an_index_without_identifiers_goes_by_place(tmp_path: Path) -> None:
    folder = tiny.indexed(tmp_path, 'nebBVSE122k', keyed=False)
    entries, problems = tiny.read_all(folder, 'nebBVSE122k', 2)
    assert problems == [] and len(entries) == 12
    assert all(entry.row is not None and float(entry.row['em']) == entry.properties['em'] for entry in entries)


@pytest.mark.parametrize('keyed', [True, False])
def test_the_index_and_the_files_must_agree(keyed: bool, tmp_path: Path) -> None:
    folder = tiny.indexed(tmp_path, 'nebBVSE122k', keyed)
    index = folder / 'nebBVSE122k_index.csv'
    lines = index.read_text().splitlines(keepends=True)
    if keyed:
        lines[3] = lines[3].replace('mp-1_2', 'mp-1_77')
    else:
        lines[3] = lines[3].replace('mp-1', 'mp-77')
    index.write_text(''.join(lines) + 'short\n')
    entries, problems = tiny.read_all(folder, 'nebBVSE122k')
    assert len(entries) == 11
    reasons = {(one.file.rsplit('_', 1)[1], one.line, one.reason) for one in problems}
    if keyed:
        assert ('index.csv', 4, 'stands in the index, but in no file') in reasons
        assert any(reason == 'stands in no row of the index' for _, _, reason in reasons)
    else:
        assert any(reason == 'its row of the index is of mp-77' for _, _, reason in reasons)
    assert ('index.csv', 14, f'1 fields instead of {5 if keyed else 4}') in reasons


def test_the_virial_and_the_label_stay(tmp_path: Path) -> None:
    entries, _ = tiny.read_all(tiny.lips25(tmp_path), 'LiPS-25')
    assert [entry.id for entry in entries[:2]] == ['LiPS-25/0', 'LiPS-25/1']
    assert [entry.material for entry in entries[:3]] == ['Iter1-2', 'crystal', 'RSS dimer']
    assert np.shape(entries[0].frames.info[0]['virial']) == (3, 3) and entries[0].frames.stresses is None


@pytest.mark.parametrize('packed', [True, False])
def test_sites_keep_their_occupancy_and_bounds_are_no_numbers(packed: bool, tmp_path: Path) -> None:
    entries, problems = tiny.read_all(tiny.obelix(tmp_path, packed), 'OBELiX')
    assert problems == []
    assert [entry.properties for entry in entries] == [
        {'conductivity': 1.58489e-06, 'conductivity_text': '1.58489e-06'},
        {'conductivity_below': 1e-10, 'conductivity_text': '<1E-10'},
        {'conductivity': 0.000662, 'conductivity_text': '0.000662'},
    ]
    frames = entries[0].frames
    assert sorted(set(zip(frames.numbers.tolist(), frames.arrays['occupancy'].tolist()))) == [
        (3, 0.875), (8, 1.0), (15, 0.75),
    ]  # fmt: skip
    assert frames.info[0]['cif'] == tiny.CIF.format(name='a0z')
    assert {'P': 0.75, 'S': 0.25} in frames.info[0]['occupancy'].values()
    assert entries[1].row is not None and entries[1].row['Family'] == 'a "family", rare'


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip some twenty times as large as what is read of it at once: no more than a few such pieces are held."""
    monkeypatch.setattr(blocks, 'READ_BYTES', 1 << 18)
    folder = tiny.mplitrj(tmp_path)
    path = folder / 'MPLiTrj_train.xyz'
    path.write_bytes(path.read_bytes() * 1000)
    archive = tiny.zipped(folder)
    card = load_card('MPLiTrj')
    importer = importer_of(card)
    with Source.open(archive) as source:
        assert source.members['MPLiTrj_train.xyz'] > 5e6
        part = importer.parts(source, card)[0][0]
        tracemalloc.start()
        number = sum(chunk.n_entries for chunk in importer.chunks(source, card, part, size=200))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert number == 7_000
    assert peak < 2.5e6
