"""The same numbers as the pure functions, compiled by numba: an optional, faster twin of `ranking.py` and the metrics.

Imported only where numba is installed and the work is worth loading it.
"""
