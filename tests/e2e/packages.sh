#!/bin/sh
# Installs packages in a copy of this machine's root that is thrown away, and runs a node there as its unit has it:
# tests/e2e/packages.sh DIRECTORY, where the packages lie. For root, in namespaces of its own. Exit code 77: there is no
# way to make such a copy here.
set -eu
packages=$1

scratch=$(mktemp -d)
mount -t tmpfs tmpfs "$scratch" || exit 77
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
root="$scratch/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$root" || exit 77
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
cp "$packages"/*.deb "$root/tmp"
ip link set lo up

cat >"$root/tmp/inside" <<'INSIDE'
set -eu
unset LAYOVER_SERVER
says() { echo "packages: $*" >&2; exit 1; }
dpkg --install /tmp/layoverd_*.deb /tmp/layover_*.deb
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
INSIDE
chroot "$root" sh /tmp/inside
