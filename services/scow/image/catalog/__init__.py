"""Images as records: finding, listing, describing, searching, removing."""
