"""The physics: bands, tangents, optimisers, interpolation; numpy only, no files, no models."""
