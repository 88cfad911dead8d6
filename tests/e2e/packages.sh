#!/bin/sh
# Installs the packages in /tmp/given, and runs a node as its unit has it. For tests/e2e/copied_root.sh.
set -eu
unset LAYOVER_SERVER
says() { echo "packages: $*" >&2; exit 1; }
dpkg --install /tmp/given/layoverd_*.deb /tmp/given/layover_*.deb
[ -z "$(dpkg --verify layoverd layover)" ] || says "what was installed is not what was packed"
[ "$(stat -c %U:%G:%a /etc/layover)" = root:layover:750 ] || says "keys in /etc/layover are not safe"
for file in man8/layoverd.8 man5/layover.toml.5 man1/layover-queue-list.1; do
    [ -e "/usr/share/man/$file" ] || says "there is no $file"
done
for program in layoverd layover; do
    grep -q '"name": "rustls"' "/usr/share/doc/$program/$program.cdx.json" || says "$program: not all is listed"
done

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
cp /usr/share/doc/layoverd/examples/policy.toml /etc/layover/policy.toml

# As systemd would.
unit() { sed -n "s/^$1=//p" /usr/lib/systemd/system/layoverd.service; }
as_the_service() {
    exec setpriv --reuid "$(unit User)" --regid "$(unit Group)" --init-groups --no-new-privs \
        --bounding-set -all,+net_bind_service --inh-caps -all,+net_bind_service \
        --ambient-caps -all,+net_bind_service "$@"
}
install -d -o layover -g layover -m "$(unit StateDirectoryMode)" /var/lib/layover
# shellcheck disable=SC2046
(as_the_service $(unit ExecStartPre))
# shellcheck disable=SC2046
as_the_service $(unit ExecStart) &
node=$!
tries=0
until layover --json status 2>/dev/null | grep -q '"accepting": true'; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || says "the node takes no mail"
    sleep 0.1
done
layover status
layover queue list
kill -TERM "$node"
wait "$node" || says "the node ended with $?"

dpkg --purge layoverd layover
[ ! -e /usr/bin/layoverd ] || says "the program is still there"
[ -e /var/lib/layover/NODE ] && [ -e /etc/layover/layover.toml ] || says "mail or settings are gone with the package"
