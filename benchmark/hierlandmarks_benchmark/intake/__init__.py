"""What strangers hand in: ranked lists, embeddings or models, checked against a track and turned into an entry.

::

    rankings file ──────────────────────────┐
    embeddings ──────── ranked by cosine ───┼→ Rankings → scored against the GroundTruth → entry
    model → embeddings ─────────────────────┘

A file is only ever read as data: no pickle, no code, and never more of it than `limits` allows.
"""

from __future__ import annotations
