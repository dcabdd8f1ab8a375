"""Downloads over lines that break, from servers that change their minds."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
from pathlib import Path

import pytest

from aiida_litraj.datasets.fetch import Fetched, FetchError, fetch
from tests.datasets.server import Behaviour, serve


def packed(seed: int = 0, members: int = 3, size: int = 40_000) -> bytes:
    """A zip of incompressible members."""
    numbers, buffer = random.Random(seed), io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', zipfile.ZIP_DEFLATED) as archive:
        for number in range(members):
            archive.writestr(zipfile.ZipInfo(f'set/part_{number}.xyz'), numbers.randbytes(size))
    return buffer.getvalue()


CONTENT = packed()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def get(url: str, path: Path, **options: object) -> Fetched:
    return fetch(url, path, sleep=lambda _: None, timeout=10, **options)  # type: ignore[arg-type]


def test_whole_file_is_checked_as_far_as_it_can_be(tmp_path: Path) -> None:
    stages: dict[str, int] = {}
    with serve(Behaviour(CONTENT)) as url:
        done = get(url, tmp_path / 'set.zip', progress=lambda stage, at, _: stages.update({stage: at}))
    assert done.path.read_bytes() == CONTENT
    assert done.sha256 == SHA256 and done.new
    assert [line.split()[0] for line in done.checked] == ['size', 'every']
    assert done.unchecked == ('sha256: the card has none',)
    assert stages['download'] == stages['sha256'] == len(CONTENT) and 0 < stages['zip'] < len(CONTENT)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ['set.zip']


def test_each_broken_connection_goes_on_where_it_broke(tmp_path: Path) -> None:
    server = Behaviour(CONTENT, drop_after=25_000)
    with serve(server) as url:
        done = get(url, tmp_path / 'set.zip', sha256=SHA256.upper(), attempts=2)
    assert done.path.read_bytes() == CONTENT and not done.unchecked
    assert server.ranges == [None] + [f'bytes={at}-' for at in range(25_000, len(CONTENT), 25_000)]


def test_a_second_call_goes_on_where_the_first_gave_up(tmp_path: Path) -> None:
    server = Behaviour(CONTENT, drop_after=30_000)
    with serve(server) as url:
        with pytest.raises(FetchError, match=r'30,000 bytes are in .*set\.zip\.part'):
            get(url, tmp_path / 'set.zip', attempts=1)
        server.drop_after = None
        done = get(url, tmp_path / 'set.zip')
    assert done.resumed_at == 30_000 and server.ranges == [None, 'bytes=30000-']
    assert done.path.read_bytes() == CONTENT


@pytest.mark.parametrize('if_range_works', [True, False])
def test_a_file_that_changed_on_the_server_is_begun_anew(tmp_path: Path, if_range_works: bool) -> None:
    server = Behaviour(CONTENT, drop_after=30_000, if_range_works=if_range_works)
    with serve(server) as url:
        with pytest.raises(FetchError):
            get(url, tmp_path / 'set.zip', attempts=1)
        server.content, server.drop_after = packed(seed=1), None
        done = get(url, tmp_path / 'set.zip')
    assert done.path.read_bytes() == packed(seed=1)
    assert done.resumed_at == 0


def test_a_server_without_ranges_gives_the_whole_file_again(tmp_path: Path) -> None:
    server = Behaviour(CONTENT, drop_after=30_000, ranges_work=False)
    with serve(server) as url:
        with pytest.raises(FetchError):
            get(url, tmp_path / 'set.zip', attempts=3)
        server.drop_after = None
        done = get(url, tmp_path / 'set.zip')
    assert done.path.read_bytes() == CONTENT
    assert done.resumed_at == 0


def test_a_part_continued_blindly_is_said_so(tmp_path: Path) -> None:
    server = Behaviour(b'x' * 100_000, drop_after=60_000, etag=False)
    with serve(server) as url:
        done = get(url, tmp_path / 'set.xyz')
        assert any('changed between two parts' in line for line in done.unchecked)
        known = get(url, tmp_path / 'again.xyz', sha256=done.sha256)
    assert known.unchecked == ()


def test_a_part_that_is_too_long_is_thrown_away(tmp_path: Path) -> None:
    server = Behaviour(CONTENT, drop_after=50_000, if_range_works=False, etag=False)
    with serve(server) as url:
        with pytest.raises(FetchError):
            get(url, tmp_path / 'set.zip', attempts=1)
        server.content, server.drop_after = packed(members=1), None
        assert get(url, tmp_path / 'set.zip').path.read_bytes() == packed(members=1)
    assert server.ranges == [None, 'bytes=50000-', None]


def test_a_damaged_zip_is_fetched_again(tmp_path: Path) -> None:
    server = Behaviour(CONTENT, damage={0: 50_000})
    with serve(server) as url:
        assert get(url, tmp_path / 'set.zip').path.read_bytes() == CONTENT
    assert server.ranges == [None, None]


def test_damage_that_stays_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    always = dict.fromkeys(range(9), 50000)
    with serve(Behaviour(CONTENT, damage=always)) as url:
        with pytest.raises(FetchError, match=r'member set/part_1\.xyz is damaged.*fetched 3 times'):
            get(url, tmp_path / 'set.zip')
        with pytest.raises(FetchError, match=f'its sha256 is .*, the card says {SHA256}'):
            get(url, tmp_path / 'set.xyz', sha256=SHA256)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('attempts', 'words'), [(1, 'fetched once'), (2, 'fetched 2 times'), (8, 'fetched 3 times')])
def test_damage_is_told_as_often_as_it_came(tmp_path: Path, attempts: int, words: str) -> None:
    server = Behaviour(CONTENT, damage=dict.fromkeys(range(9), 50000))
    with serve(server) as url, pytest.raises(FetchError, match=words):
        get(url, tmp_path / 'set.zip', attempts=attempts)
    assert len(server.ranges) == min(attempts, 3)


def test_a_web_page_is_no_zip(tmp_path: Path) -> None:
    page = Behaviour(b'<!DOCTYPE html><html>moved</html>')
    with serve(page) as url, pytest.raises(FetchError, match=r'came, but it is a web page.*DOCTYPE'):
        get(url, tmp_path / 'set.zip')


def test_a_busy_server_is_asked_again_as_late_as_it_says(tmp_path: Path) -> None:
    pauses: list[float] = []
    with serve(Behaviour(CONTENT, refusals=[503, 429])) as url:
        assert fetch(url, tmp_path / 'set.zip', sleep=pauses.append).sha256 == SHA256
    assert pauses == [3.0, 3.0]


def test_pauses_double_and_the_end_is_told(tmp_path: Path) -> None:
    pauses: list[float] = []
    with serve(Behaviour(CONTENT)) as url:
        pass
    with pytest.raises(FetchError, match=r'refused, 5 times in a row; 0 bytes'):
        fetch(url, tmp_path / 'set.zip', sleep=pauses.append, attempts=5)
    assert pauses == [1.0, 2.0, 4.0, 8.0]


def test_what_will_not_pass_is_not_tried_again(tmp_path: Path) -> None:
    server = Behaviour(CONTENT, refusals=[404] * 5)
    with serve(server) as url, pytest.raises(FetchError, match='404') as caught:
        get(url, tmp_path / 'set.zip')
    assert len(server.ranges) == 1 and '--url' in (caught.value.remedy or '')


def test_without_a_size_the_end_of_the_connection_is_the_end(tmp_path: Path) -> None:
    with serve(Behaviour(b'y' * 5000, length=False)) as url:
        done = get(url, tmp_path / 'set.xyz')
        assert done.size_bytes == 5000 and 'size: the server gives none' in done.unchecked
        with pytest.raises(FetchError, match='it has 5,000 bytes, it should have 6,000'):
            get(url, tmp_path / 'other.xyz', size_bytes=6000)


def test_a_size_that_is_not_the_expected_one_is_refused_before_the_download(tmp_path: Path) -> None:
    server = Behaviour(CONTENT)
    with serve(server) as url, pytest.raises(FetchError, match='7 were expected'):
        get(url, tmp_path / 'set.zip', size_bytes=7)
    assert len(server.ranges) == 1


def test_a_file_that_is_there_is_checked_and_kept(tmp_path: Path) -> None:
    path = tmp_path / 'set.zip'
    path.write_bytes(CONTENT)
    done = get('http://127.0.0.1:9/nobody', path, sha256=SHA256)
    assert not done.new and done.attempts == 0
    assert 'size: the card has none, and the server was not asked, for the file was there' in done.unchecked
    path.write_bytes(CONTENT[:-1000])
    with pytest.raises(FetchError, match='is there, but it is a zip that is cut off'):
        get('http://127.0.0.1:9/nobody', path)
    assert path.exists()


def test_a_local_file_is_copied(tmp_path: Path) -> None:
    source = tmp_path / 'mirror' / 'set.zip'
    source.parent.mkdir()
    source.write_bytes(CONTENT)
    assert get(source.as_uri(), tmp_path / 'set.zip', sha256=SHA256).path.read_bytes() == CONTENT
    with pytest.raises(FetchError, match='No such file'):
        get((tmp_path / 'none.zip').as_uri(), tmp_path / 'other.zip')


def test_other_kinds_of_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match='neither http'):
        get('ftp://example.org/set.zip', tmp_path / 'set.zip')
