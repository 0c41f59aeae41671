"""Tests: unit, contract, integration."""

import os

# Before numpy is imported. Three workers and their programs share two processors: threads of OpenBLAS beyond the first
# would wait for each other, and waiting they take a third of the time of clustering again.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
