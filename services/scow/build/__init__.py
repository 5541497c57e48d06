"""The build service: images from Dockerfiles."""
