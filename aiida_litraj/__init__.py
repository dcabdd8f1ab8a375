"""AiiDA plugin to judge and use machine-learned interatomic potentials for lithium-ion conductors."""

__version__ = '0.1.0'
