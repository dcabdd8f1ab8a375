"""Schemas and tables in the documentation are those of the code."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / 'docs' / 'generate_reference.py'


@pytest.fixture(scope='module')
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location('generate_reference', SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


def test_the_generated_files_are_up_to_date(generator: ModuleType) -> None:
    stale = [
        str(path)
        for path, text in generator.generated().items()
        if not (generator.SOURCE / path).is_file() or (generator.SOURCE / path).read_text(encoding='utf-8') != text
    ]
    assert stale == [], 'run: python docs/generate_reference.py'


def test_no_generated_schema_is_left_behind(generator: ModuleType) -> None:
    folder = generator.SOURCE / 'reference' / 'schemas'
    assert {path.stem for path in folder.glob('*.json')} == set(generator.SCHEMAS)
