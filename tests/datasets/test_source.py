"""Zip, folder and files look the same, and are known by their sha256."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from aiida_litraj.datasets.source import Source, set_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    top = tmp_path / 'set'
    (top / 'sub').mkdir(parents=True)
    (top / 'a.xyz').write_bytes(b'alpha' * 1000)
    (top / 'sub' / 'b.csv').write_bytes(b'beta')
    (top / '.DS_Store').write_bytes(b'junk')
    return top


def zip_of(folder: Path, root: str, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder.parent / f'{root.replace("/", "_") or "flat"}{compression}.zip'
    with zipfile.ZipFile(path, 'w', compression) as archive:
        for file in sorted(folder.rglob('*')):
            archive.write(file, f'{root}{file.relative_to(folder)}')
        archive.writestr(f'__MACOSX/{root}a.xyz', 'junk')
    return path


@pytest.mark.parametrize('root', ['set/', 'other name/', ''])
@pytest.mark.parametrize('compression', [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_zip_looks_like_its_folder(root: str, compression: int, folder: Path) -> None:
    archive = zip_of(folder, root, compression)
    with Source.open(archive) as zipped, Source.open(folder) as plain, Source.open(str(folder.parent / 'set')) as named:
        assert zipped.kind == 'zip' and plain.kind == 'folder'
        assert zipped.members == plain.members == named.members == {'a.xyz': 5000, 'sub/b.csv': 4}
        assert zipped.size == 5004 and zipped.find('.csv') == ['sub/b.csv']
        for name in plain.members:
            assert zipped.read(name) == plain.read(name)
        for offset in (0, 7, 4999, 5000, 6000):
            with zipped.stream('a.xyz', offset) as one, plain.stream('a.xyz', offset) as other:
                assert one.read() == other.read() == (b'alpha' * 1000)[offset:]
        with pytest.raises(KeyError):
            zipped.stream('c')


def test_a_folder_above_the_folder_makes_no_difference(folder: Path) -> None:
    with Source.open(folder.parent) as source:
        assert list(source.members) == ['a.xyz', 'sub/b.csv']


def test_a_manifest_tells_a_changed_byte(folder: Path) -> None:
    archive = zip_of(folder, 'set/')
    with Source.open(folder) as plain, Source.open(archive) as zipped:
        expected = hashlib.sha256(b'alpha' * 1000).hexdigest()
        assert plain.manifest()[0] == {'name': 'a.xyz', 'size': 5000, 'sha256': expected}
        whole = archive.read_bytes()
        assert zipped.manifest() == [
            {'name': archive.name, 'size': len(whole), 'sha256': hashlib.sha256(whole).hexdigest()}
        ]
        done: list[tuple[int, int]] = []
        plain.manifest(lambda now, total: done.append((now, total)))
        assert done[-1] == (5004, 5004)


def test_files_are_taken_as_given(folder: Path) -> None:
    with Source.open([folder / 'a.xyz', folder / 'sub' / 'b.csv']) as source:
        assert source.kind == 'files' and list(source.members) == ['a.xyz', 'b.csv']
        assert source.read('b.csv') == b'beta'
    with Source.open(folder / 'a.xyz') as source:
        assert source.name == 'a.xyz'


PAGE = b'\n<!DOCTYPE html><html><body>Sign in</body></html>'


@pytest.mark.parametrize('name', ['set.zip', 'set.xyz', 'train.csv'])
def test_a_web_page_is_called_one(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PAGE)
    with pytest.raises(ValueError, match=rf'{name}: it is a web page.*DOCTYPE.*fetch it again'):
        Source.open(tmp_path / name)


def test_a_zip_that_is_none_or_not_whole_says_which(folder: Path, tmp_path: Path) -> None:
    whole = zip_of(folder, 'set/').read_bytes()
    for name, content, words in (
        ('cut.zip', whole[: len(whole) // 2], 'cut.zip: it is a zip that is cut off: its'),
        ('unnamed', whole[: len(whole) // 2], 'unnamed: it is a zip that is cut off'),
        ('other.zip', b'\x1f\x8b' + bytes(50), 'other.zip: it is no zip but gzip'),
        ('text.zip', b'3\n\nLi 0 0 0\n', "text.zip: it is no zip .*b'3"),
        ('empty.zip', b'', 'empty.zip: it is empty'),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=words):
            Source.open(tmp_path / name)


def test_other_archives_are_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / 'set.tar.gz').write_bytes(b'\x1f\x8b')
    with pytest.raises(ValueError, match=r'set\.tar\.gz is an archive, but no zip: unpack it'):
        Source.open(tmp_path / 'set.tar.gz')


def test_several_zips_are_not_taken_for_files(folder: Path) -> None:
    archive = zip_of(folder, 'set/')
    with pytest.raises(ValueError, match='one of 2 sources: give one zip at a time'):
        Source.open([folder / 'a.xyz', archive])


def test_a_set_is_known_by_the_names_of_its_files(folder: Path, tmp_path: Path) -> None:
    names = ('MPLiTrj', 'nebDFT2k')
    with Source.open(folder) as source:
        assert set_of(source, names) is None
    (folder / 'nebDFT2k_index.csv').write_text('edge_id\n')
    with Source.open(zip_of(folder, 'set/')) as source:
        assert set_of(source, names) == 'nebDFT2k'
    (folder / 'MPLiTraj_train.xyz').write_text('')
    with Source.open(folder) as source:
        assert set_of(source, names) is None


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match='nothing does not exist'):
        Source.open(folder / 'nothing')
    (folder.parent / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty holds no file'):
        Source.open(folder.parent / 'empty')
    with pytest.raises(ValueError, match='share a name'):
        Source.open([folder / 'a.xyz', folder / 'a.xyz'])
    with pytest.raises(ValueError, match='is a folder'):
        Source.open([folder / 'a.xyz', folder / 'sub'])
