"""Named sets of numbers, one file per task, and how a chain reads them."""

from .mixin import ProtocolMixin

__all__ = ('ProtocolMixin',)
