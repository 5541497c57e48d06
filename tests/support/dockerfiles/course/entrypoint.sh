#!/bin/sh
set -e
echo "started as $(id -un)"
exec "$@"
