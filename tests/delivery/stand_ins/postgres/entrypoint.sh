#!/bin/sh
# The password comes from the file that POSTGRES_PASSWORD_FILE names.
set -eu
POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
export POSTGRES_PASSWORD
exec docker-entrypoint.sh "$@"
