"""Commands of the library; each module only translates between the command line and the public API."""
