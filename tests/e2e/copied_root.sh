#!/bin/sh
# Runs a script in a copy of this machine's root that is thrown away: tests/e2e/copied_root.sh SCRIPT DIRECTORY. The
# script finds what lies in the directory in /tmp/given. For root, in namespaces of its own. Exit code 77: there is no way
# to make such a copy here.
set -eu
script=$1
given=$2

scratch=$(mktemp -d)
mount -t tmpfs tmpfs "$scratch" || exit 77
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
root="$scratch/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$root" || exit 77
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir "$root/tmp/given"
cp "$given"/* "$root/tmp/given"
cp "$script" "$root/tmp/script"
ip link set lo up
exec chroot "$root" sh /tmp/script
