#!/bin/bash
# Starts Kibana with its secrets in its keystore. Its image reads none from a file, and what is in its environment
# becomes its command line, which `ps` shows.
set -euo pipefail
cd /usr/share/kibana

keep() {
  bin/kibana-keystore add --force --stdin "$1" <"/run/secrets/$2"
}

[ -f config/kibana.keystore ] || bin/kibana-keystore create
keep elasticsearch.password kibana_password
keep xpack.security.encryptionKey kibana_encryption_key
keep xpack.encryptedSavedObjects.encryptionKey kibana_encryption_key
keep xpack.reporting.encryptionKey kibana_encryption_key
exec /usr/local/bin/kibana-docker
