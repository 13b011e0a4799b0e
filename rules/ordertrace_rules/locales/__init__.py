"""The fixed sentences of guides and findings, in each language."""
