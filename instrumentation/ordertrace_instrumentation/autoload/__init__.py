"""`ordertrace-instrument` puts this directory on PYTHONPATH: Python imports `sitecustomize` from it at its start."""
