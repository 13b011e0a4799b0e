#!/usr/bin/env bash
# start.sh PORT FOLDER - a single-node Elasticsearch on 127.0.0.1:PORT, security off, all its state below
# FOLDER. Returns when the node is up. Started again on the same FOLDER it has the same data.
# Environment: ES_HEAP (default 512m), and that of install.sh and java.sh.
set -euo pipefail
[ $# = 2 ] || { sed -n 2,4p "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
port=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
heap=${ES_HEAP:-512m}
java_home=$("$here/java.sh")
install=$("$here/install.sh")

mkdir -p "$folder"/{config,data,logs,snapshots,tmp}
cp "$install/config/log4j2.properties" "$folder/config/"
cat >"$folder/config/elasticsearch.yml" <<Y
cluster.name: ordertrace-test
node.name: node-1
discovery.type: single-node
network.host: 127.0.0.1
http.port: $port
transport.port: 0
path.data: $folder/data
path.logs: $folder/logs
path.repo: ["$folder/snapshots"]
xpack.security.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
Y
# The first compiler only: for the short life of a test server that starts it in half the time.
cat >"$folder/config/jvm.options" <<Y
-Xms$heap
-Xmx$heap
-XX:-AlwaysPreTouch
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
-Djava.io.tmpdir=$folder/tmp
--add-modules=jdk.incubator.vector
Y
# Elasticsearch refuses to run as root: as root, run it as nobody.
as=()
if [ "$(id -u)" = 0 ]; then
  as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  chown 65534:65534 "$folder"
  chown -R 65534:65534 "$folder"/{config,data,logs,snapshots,tmp}
  for needed in "$install" "$folder" "$java_home"; do
    "${as[@]}" test -x "$needed" || { echo "$needed: nobody cannot enter it; choose a folder below /var/tmp" >&2; exit 1; }
  done
fi

# What bin/elasticsearch of the distribution does; -d returns when the node is ready.
cd "$install"
options=(-Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1)
if [ -d lib/tools/server-launcher ]; then
  launcher=(-cp "$install/lib/tools/server-launcher/*" org.elasticsearch.server.launcher.ServerLauncher)
else # of version 8
  launcher=(-Dcli.name=server -Dcli.script=elasticsearch -Dcli.libs=lib/tools/server-cli
    -Des.path.home="$install" -Des.path.conf="$folder/config" -Des.distribution.type=zip -Des.java.type=ES_JAVA_HOME
    -cp "$install/lib/*:$install/lib/cli-launcher/*" org.elasticsearch.launcher.CliToolLauncher)
fi
env -u JAVA_TOOL_OPTIONS -u _JAVA_OPTIONS -u ES_JAVA_OPTS \
  JAVA="$java_home/bin/java" JAVA_TYPE=ES_JAVA_HOME ES_HOME="$install" ES_PATH_CONF="$folder/config" \
  ES_TMPDIR="$folder/tmp" ES_DISTRIBUTION_TYPE=zip CLI_JAVA_OPTS="${options[*]}" HOSTNAME=localhost HOME="$folder" \
  "${as[@]}" "$java_home/bin/java" "${options[@]}" "${launcher[@]}" \
  -d -p "$folder/es.pid" </dev/null >"$folder/logs/start.log" 2>&1 \
  || { tail -n 40 "$folder/logs/start.log" >&2; exit 1; }
