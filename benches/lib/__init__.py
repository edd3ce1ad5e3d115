"""Common parts of the benchmarks. Python's standard library only."""
