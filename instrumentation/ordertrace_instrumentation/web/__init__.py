"""Web frameworks: bind the order of a request for the records made while it is served.

One module for each library, and only that module imports it: `flask`, `django`, `starlette` (FastAPI too); `wsgi` and
`asgi` need none. A module that hooks a library has `instrument() -> None`, which hooks it for the whole process
(twice is as good as once, before or after the application is made), and `uninstrument() -> None`, which restores
it. Beside them stands what is used by hand for one application: `instrument_flask(app)`,
`instrument_starlette(app)`, the middleware classes of `wsgi`, `asgi` and `django`, all named `OrderMiddleware`.
"""
