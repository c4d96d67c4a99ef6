"""Commands of the pipeline; each module only translates between the command line and the public API."""
