"""Molecular dynamics of one replica: states, integrators, schedules, and what counts as dead."""
