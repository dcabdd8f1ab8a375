"""Every link of the chain from a launch to a compute node and back: is it whole, who is at fault, and what to type."""

from .chain import LINKS, examine
from .finding import Finding, Limits

__all__ = ('LINKS', 'Finding', 'Limits', 'examine')
