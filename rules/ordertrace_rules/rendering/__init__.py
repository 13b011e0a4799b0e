"""A guide for its readers: Markdown for chats, text for pipes, a terminal, JSON for programs."""
