"""One real incident on any cluster, for a person at a terminal: the whole pipeline, and as much of it as the mode allows.

`run.triage` works it, `report.Report` is what it found, `terminal.Terminal` asks a person. Nothing here decides anything.
"""
