"""seeds.py — the seed of this run: fresh each time, or F5_TEST_SEED."""
import os

SEED = int(os.environ.get("F5_TEST_SEED") or int.from_bytes(os.urandom(4), "little"))
