"""How records leave the process: lines on stdout or in a file, and carriers that take batches to a server."""
