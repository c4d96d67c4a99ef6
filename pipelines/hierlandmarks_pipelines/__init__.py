"""How the labels are made: one module a stage, meeting at `hierlandmarks.schema`."""
