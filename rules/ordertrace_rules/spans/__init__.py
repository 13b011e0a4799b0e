"""Journeys as spans of the orders' own traces: what they are, when they are ready, and sending them."""
