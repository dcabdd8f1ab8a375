"""A set is compared with what it was made of, file by file; what is damaged is neither overlooked nor exported."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida.manage import get_manager
from aiida.orm import Group, QueryBuilder
from aiida.tools.archive import create_archive, import_archive

from aiida_litraj.datasets.ingest.run import import_dataset
from aiida_litraj.datasets.ingest.store import container_of
from aiida_litraj.datasets.make import make
from aiida_litraj.groups.export import export
from aiida_litraj.groups.notes import notes_on
from aiida_litraj.groups.verify import verify

pytestmark = pytest.mark.usefixtures('aiida_profile_clean')


def test_files_given_one_by_one(tmp_path: Path) -> None:
    source = make('MPLiTrj', tmp_path, n=30, atoms=8)
    files = sorted(source.glob('*.xyz'))
    import_dataset(files, 'MPLiTrj', workers=0)
    for given in ([files[0]], files, [source]):
        assert verify('MPLiTrj', given).ok

    files[1].write_text(files[1].read_text().replace('energy=-', 'energy=-1', 1))
    found = verify('MPLiTrj', files)
    assert not found.ok and not found.problems
    (one,) = found.other_sources
    assert one.startswith(files[1].name)


def test_an_import_that_was_broken_off_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    source = make('LiPS-25', tmp_path, n=30)
    size = source.stat().st_size

    def tell(stage: str, done: int, total: int | None) -> None:
        if stage == source.name and done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_dataset(source, 'LiPS-25', workers=0, chunk_size=10, progress=tell)
    (note,) = notes_on('LiPS-25')
    assert note.startswith(f'an import of {source.name} has not come to its end')
    assert f'after entry 20 of {source.name}, at ' in note and f' of {size:,} bytes' in note
    found = verify('LiPS-25')
    assert found.ok and note in found.notes
    import_dataset(source, 'LiPS-25', workers=0)
    assert notes_on('LiPS-25') == [] and not set(verify('LiPS-25').notes) & {note}


def test_after_an_archive(tmp_path: Path, aiida_profile: object) -> None:
    """Archives bring no hashes along; that is no damage."""
    source = make('LiPS-25', tmp_path, n=10)
    import_dataset(source, 'LiPS-25', workers=0)
    archive = tmp_path / 'set.aiida'
    create_archive(QueryBuilder().append(Group).all(flat=True), filename=archive)
    aiida_profile.reset_storage()  # type: ignore[attr-defined]
    import_archive(archive)
    found = verify('LiPS-25', [source])
    assert found.ok, found.problems
    assert any('no stored hash' in note for note in found.notes)


def test_damaged_contents_are_not_exported(tmp_path: Path) -> None:
    import_dataset(make('LiPS-25', tmp_path, n=10), 'LiPS-25', workers=0)
    assert verify('LiPS-25').ok
    pack = Path(container_of(get_manager().get_profile_storage()).get_folder()) / 'packs' / '0'
    content = bytearray(pack.read_bytes())
    content[-100] ^= 1  # within the numbers of the last entry
    pack.write_bytes(content)

    found = verify('LiPS-25')
    assert len(found.problems) == 1 and 'sha256' in found.problems[0]
    with pytest.raises(ValueError, match='is damaged: the file with the sha256'):
        export('LiPS-25', 'extxyz-mace', tmp_path / 'out.xyz')
