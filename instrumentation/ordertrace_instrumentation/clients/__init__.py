"""HTTP clients: tell trusted hosts the order and the trace, and nobody else.

One module for each library, and only that module imports it: `requests`, `httpx`, `aiohttp`. Each has
`instrument() -> None`, which hooks the library for the whole process (twice is as good as once, before or after a
client is made), and `uninstrument() -> None`, which restores it; and a function for one client alone:
`instrument_requests(session)`, `instrument_httpx(client)`, `instrument_aiohttp(session)`.
"""
