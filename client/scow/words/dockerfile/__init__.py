"""The syntax of Dockerfiles: variables and words, and instructions that change an image's configuration."""
