"""The browser page: an archive's label tables to look at, listen to and decide on; a server on this machine."""
