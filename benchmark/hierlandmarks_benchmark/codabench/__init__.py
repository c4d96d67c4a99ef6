"""A track as a competition on Codabench: one zip to upload, whose scoring program is the scorer of `bench submit`.

What Codabench asks of a bundle is in docs.codabench.org, "Competition Bundle Structure": `competition.yaml` beside the
pages and the logo it names, and a zip each of the scoring program, the reference data and a sample submission. It
unpacks the reference data as `input/ref` and what somebody hands in as `input/res`, runs the program's command with
`input` and `output`, and puts what it finds in `output/scores.json` into the leaderboard.
"""

from __future__ import annotations

from hierlandmarks_benchmark.codabench.bundle import export

__all__ = ["export"]
