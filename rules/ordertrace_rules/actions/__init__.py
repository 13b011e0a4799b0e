"""Proposed actions: a person decides, each is executed once, its result stands on the incident."""
