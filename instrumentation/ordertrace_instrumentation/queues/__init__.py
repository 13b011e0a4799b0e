"""Messages and threads: each module hooks one library, `instrument()` and `uninstrument()`, and alone imports it."""
