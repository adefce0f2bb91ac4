"""Every page and file of `deploy/` is kept honest here."""
