"""Importers: one per layout of a published data set, and one for a person's own."""
