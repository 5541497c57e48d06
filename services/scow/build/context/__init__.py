"""Files that builds get from elsewhere: directories and archives of clients, URLs, git repositories, images.

`session` is the conversation with the client, `files` what all sources have in common, `directory` keeps what clients
sent of their directories.
"""
