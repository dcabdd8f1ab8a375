"""Extended xyz: a reader and a writer for millions of configurations, exact to the last digit."""

from .blocks import Stretch, stretches
from .reader import Configuration, read_block
from .writer import format_frame, write_frames, write_many

__all__ = ['Configuration', 'Stretch', 'format_frame', 'read_block', 'stretches', 'write_frames', 'write_many']
