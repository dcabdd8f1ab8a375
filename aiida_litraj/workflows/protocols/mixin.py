"""Reading protocols: defaults, then what a protocol changes, then what a person changes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml


class ProtocolMixin:
    """For chains that fill their inputs from ``workflows/protocols/<task>.yaml``."""

    protocol_file: str

    @classmethod
    def get_available_protocols(cls) -> dict[str, str]:
        """Return the protocols by name, with their descriptions."""
        return {name: entry['description'] for name, entry in _load(cls.protocol_file)['protocols'].items()}

    @classmethod
    def get_default_protocol(cls) -> str:
        """Return the name of the protocol that is taken if none is asked for."""
        return str(_load(cls.protocol_file)['default_protocol'])

    @classmethod
    def get_protocol_inputs(
        cls, protocol: str | None = None, overrides: Mapping[str, Any] | Path | str | None = None
    ) -> dict[str, Any]:
        """Return the numbers of a protocol, changed by ``overrides`` (nested like them, or a YAML file).

        The caller validates every name and number in them against its models.

        :raises ValueError: if the protocol is not known, the file does not parse, or an override is of no section.
        """
        content = _load(cls.protocol_file)
        name = protocol or content['default_protocol']
        if name not in content['protocols']:
            raise ValueError(f'protocol {name!r} is not known; there are: {", ".join(content["protocols"])}')
        differences = {key: value for key, value in content['protocols'][name].items() if key != 'description'}
        inputs = merge(content['default_inputs'], differences)
        changes = read_overrides(overrides)
        for key, value in changes.items():
            if key not in inputs:
                raise ValueError(f'override {key!r} = {value!r} is not known; there are: {", ".join(inputs)}')
            if not isinstance(value, Mapping):
                raise ValueError(f'override {key} = {value!r}: give a mapping of what to change in it')
        return merge(inputs, changes)


def merge(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``left`` with the values of ``right`` put over it, mapping by mapping.

    A mapping that names another ``kind`` than the one below it takes its place: their fields have nothing in common.
    """
    if right.get('kind', left.get('kind')) != left.get('kind'):
        return dict(right)
    merged = dict(left)
    for key, value in right.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


@lru_cache
def _load(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((files(__package__) / name).read_text(encoding='utf-8')))


def read_overrides(overrides: Mapping[str, Any] | Path | str | None) -> Mapping[str, Any]:
    """Return what is to differ from a protocol, nested as it is, from itself or a YAML file.

    :raises ValueError: if the file cannot be read, or holds no mapping.
    """
    if overrides is None:
        return {}
    if isinstance(overrides, Mapping):
        return overrides
    try:
        content = yaml.safe_load(Path(overrides).read_text(encoding='utf-8'))
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f'overrides {overrides}: {error}') from error
    if not isinstance(content, Mapping):
        raise ValueError(f'overrides {overrides}: the file holds no mapping')
    return content
