"""Folders on computers that are silent, or whose disk is away: nothing is held for gone, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aiida_litraj.usage import folders
from aiida_litraj.usage.folders import Folder, clean, sizes_of

UUID = '0123abcd-0000-4000-8000-000000000000'


class Transport:
    """This machine, in as far as folders are looked at; ``silent`` names what is never answered."""

    def __init__(self, silent: str = '') -> None:
        self.silent = silent

    async def __aenter__(self) -> Transport:
        await self._answer('login')
        return self

    async def __aexit__(self, *_: Any) -> None:
        await self._answer('logout')

    async def _answer(self, what: str) -> None:
        await asyncio.sleep(60 if what == self.silent else 0)

    async def path_exists_async(self, path: str) -> bool:
        return Path(path).exists()

    async def rmtree_async(self, path: str) -> None:
        await self._answer('rm')
        shutil.rmtree(path)

    async def exec_command_wait_async(self, command: str) -> tuple[int, str, str]:
        await self._answer('du')
        return 1, '', ''


def folder_below(base: Path) -> Folder:
    return Folder(1, 2, UUID, str(base / UUID[:2] / UUID[2:4] / UUID[4:]), 'far', False)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the pks of folders that are noted as cleaned."""
    pks: list[int] = []

    def load(pk: int) -> Any:
        extras = SimpleNamespace(set=lambda *_: pks.append(pk))
        return SimpleNamespace(base=SimpleNamespace(extras=extras))

    monkeypatch.setattr(folders, 'load_node', load)
    monkeypatch.setattr(folders, 'in_use', lambda _: set())
    return pks


def reached_by(monkeypatch: pytest.MonkeyPatch, transport: Transport) -> None:
    monkeypatch.setattr(folders, 'load_computer', lambda _: SimpleNamespace(get_transport=lambda: transport))
    for name in ('CONNECT_S', 'DU_S', 'REMOVE_S'):
        monkeypatch.setattr(folders, name, 0.1)


def test_disk_that_is_not_mounted_is_no_folder_that_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, noted: list[int]
) -> None:
    reached_by(monkeypatch, Transport())
    folder = folder_below(tmp_path / 'scratch')
    assert clean([folder]) == {1: f'{tmp_path}/scratch is not there: is its disk mounted?'}
    assert (sizes_of([folder]), noted) == (({}, []), [])
    (tmp_path / 'scratch').mkdir()
    assert sizes_of([folder]) == ({1: 0}, [])
    assert (clean([folder]), noted) == ({}, [1])


@pytest.mark.parametrize('silent', ['login', 'logout', 'du', 'rm'])
def test_computer_that_falls_silent_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, noted: list[int], silent: str
) -> None:
    reached_by(monkeypatch, Transport(silent))
    folder = folder_below(tmp_path)
    Path(folder.path).mkdir(parents=True)
    unknown = [f'far cannot be asked: {silent}: no answer within 0.1 s'] if silent in ('login', 'du') else []
    assert sizes_of([folder]) == ({}, unknown)
    problem = {'login': 'far: login', 'rm': f'far: taking {folder.path} away'}.get(silent)
    assert clean([folder]) == ({1: f'{problem}: no answer within 0.1 s'} if problem else {})
    assert noted == ([] if problem else [1])
