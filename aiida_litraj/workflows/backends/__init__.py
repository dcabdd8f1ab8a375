"""Codes that give labels, one file each, and how a chain finds them."""

from .base import GROUP, Label, LabelBackend, Outcome, check_code, known, load, of_code

__all__ = ('GROUP', 'Label', 'LabelBackend', 'Outcome', 'check_code', 'known', 'load', 'of_code')
