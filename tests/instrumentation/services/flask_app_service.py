"""Flask on Werkzeug's own server: one application hooked."""

import sys

from flask_service import make_app
from werkzeug.serving import make_server

from ordertrace_instrumentation.web.flask import instrument_flask, uninstrument

uninstrument()
app = make_app()
instrument_flask(app)

if __name__ == "__main__":
    make_server("127.0.0.1", 0, app, threaded=True, fd=int(sys.argv[1])).serve_forever()
