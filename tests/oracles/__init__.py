"""The slow, obvious versions of the analyses: sets, dicts and loops, for small tenants."""
