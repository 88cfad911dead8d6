#!/bin/sh
# Does what the last stage of the Dockerfile does, with the programs in /tmp/given, and starts a node as a container
# would. For tests/e2e/copied_root.sh. In /tmp/given/prepare is what the stage runs but for apt-get, in user and start
# are its USER, and its ENTRYPOINT with its CMD.
set -eu
unset LAYOVER_SERVER
says() { echo "image: $*" >&2; exit 1; }
sh -eu /tmp/given/prepare
install /tmp/given/layoverd /tmp/given/layover /usr/bin
user=$(cat /tmp/given/user)

mkdir -p /etc/layover
cat >/etc/layover/layover.toml <<END
[node]
id = 1
hostname = "mx1.example.net"
data_dir = "/var/lib/layover"
min_free_space = "1MiB"
[smtp]
listen = ["127.0.0.1:25"]
[cluster]
listen = "127.0.0.1:7400"
advertise = "127.0.0.1:7400"
bootstrap = true
[policy]
initial = "/etc/layover/policy.toml"
END
cat >/etc/layover/policy.toml <<END
[[domain]]
name = "example.com"
primary = ["mail.example.com:25"]
END

# As Docker has it.
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
# shellcheck disable=SC2046
setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --no-new-privs --bounding-set -all \
    $(cat /tmp/given/start) &
node=$!
tries=0
until layover --json status 2>/dev/null | grep -q '"accepting": true'; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || says "the node takes no mail"
    sleep 0.1
done
kill -TERM "$node"
wait "$node" || says "the node ended with $?"
[ -e /var/lib/layover/NODE ] || says "the spool is not in the volume"
