#!/bin/sh
# The password comes from the file that POSTGRES_PASSWORD_FILE names, if it names one.
set -eu
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    export POSTGRES_PASSWORD
fi
exec docker-entrypoint.sh "$@"
