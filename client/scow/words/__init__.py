"""Docker's words, which command line, doors and builds share: templates, JSON shapes, units, Dockerfile syntax."""
