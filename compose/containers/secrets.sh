#!/bin/sh
# Makes the secrets that compose.yaml names, in the folder `secrets` beside it. Where they are, they stay.
set -eu
cd "$(dirname "$0")/.."
if [ -e secrets/DB_URL ]; then echo "secrets are there already"; exit; fi
# The folder is for its owner alone; a container reads single files of it, under an account of its own.
mkdir -p secrets
chmod 700 secrets
cd secrets
word() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
rows=$(word) broker=$(word)
printf %s "$rows" >postgres_password
printf 'postgresql://scleroscan:%s@postgres/scleroscan' "$rows" >DB_URL
printf 'requirepass %s\nsave ""\n' "$broker" >redis.conf
printf 'redis://:%s@redis:6379/0' "$broker" >WORKER_BROKER_URL
word >MONITOR_TOKEN
word >grafana_password
printf '{"RegisteredUsers": {"scleroscan": "%s"}}' "$(word)" >orthanc-users.json
chmod 444 ./*
echo "secrets are made"
