"""From flags to requests: the parser and what container flags mean."""
