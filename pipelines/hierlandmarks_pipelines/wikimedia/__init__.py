"""The only code that talks to Wikimedia: the archive of its answers, the client, and the questions the miner asks."""
