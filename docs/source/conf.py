"""Configuration of the documentation."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Importing aiida makes its folder and warns of its own next version; neither belongs to the documentation.
os.environ['AIIDA_PATH'] = tempfile.mkdtemp()
warnings.filterwarnings('ignore', module='aiida|sphinx.util.inspect')
logging.getLogger('alembic').setLevel(logging.WARNING)

project = 'aiida-litraj'
author = 'the developers of aiida-litraj'
project_copyright = '2026, the developers of aiida-litraj'
release = re.search(r"__version__ = '(.+)'", (ROOT / 'aiida_litraj' / '__init__.py').read_text(encoding='utf-8'))[1]

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.mathjax', 'sphinx_click']
source_suffix = {'.md': 'markdown', '.rst': 'restructuredtext'}
exclude_patterns = ['*/*_table.md']
myst_enable_extensions = ['colon_fence', 'deflist', 'dollarmath']
myst_heading_anchors = 3

autodoc_typehints = 'signature'
autodoc_member_order = 'bysource'
autodoc_default_options = {'exclude-members': 'model_config, model_post_init'}

html_theme = 'furo'
html_title = f'aiida-litraj {release}'
html_copy_source = False
