"""Calculation functions, one a file: everything a chain makes of data is made here, so that the graph shows it."""
