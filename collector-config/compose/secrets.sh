#!/bin/sh
# Writes the passwords of docker-compose.yml into secrets/, one file each; what is there already stays.
# Run it before the first start, and again after an upgrade that asks for a new one:
#   sh collector-config/compose/secrets.sh
# The containers' users have other ids than you, so the files are readable to all; the directory is yours alone.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p secrets
chmod 0700 secrets

for name in elastic_password kibana_password kibana_encryption_key ordertrace_es_password fluentd_es_password \
    ordertrace_token forward_shared_key webhook_secret; do
  file=secrets/$name
  [ -s "$file" ] && continue
  value=$(openssl rand -hex 24)
  [ "$name" != webhook_secret ] || value=whsec_$(openssl rand -base64 32) # as Standard Webhooks write it
  (umask 077 && printf %s "$value" >"$file.new") # no line end: not every reader takes it off
  chmod 0444 "$file.new"
  mv "$file.new" "$file"
  echo "made $file"
done
