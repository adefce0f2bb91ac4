"""Downloads of recordings: politeness, resumption, checks of content, and recipes for sites. No engine in here."""
