#!/bin/sh
# Builds what is committed twice, by `make reproducible`: two clones, at places and with target directories and
# homes of cargo that are called otherwise. Whatever differs between the packages is shown, with exit code 1.
set -eu
cd "$(dirname "$0")/.."
tree=$(pwd -P)
# Somebody may commit meanwhile.
commit=$(git rev-parse HEAD)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/layover-reproducible-XXXXXX")
trap 'rm -rf "$scratch"' EXIT

build() {
    git clone --quiet --no-hardlinks "$tree" "$1"
    cd "$1"
    git checkout --quiet "$commit"
    shift
    sh deploy/release.sh "$@"
    cd "$tree"
}

(build "$scratch/one" "$@")
(
    # What was fetched serves both. A link to the folder would not do: where a path leads through one, rustc writes
    # another into line tables.
    mkdir -p "$scratch/another/home"
    cp -al "$cargo_home/registry" "$scratch/another/home/" 2>/dev/null || {
        rm -rf "$scratch/another/home/registry"
        cp -a "$cargo_home/registry" "$scratch/another/home/"
    }
    export CARGO_HOME="$scratch/another/home"
    export CARGO_TARGET_DIR="$scratch/built/elsewhere"
    build "$scratch/another/clone/of/it" "$@"
)
if ! diff -r "$scratch/one/target/released/debian" "$scratch/built/elsewhere/released/debian"; then
    echo "reproducible: the two differ; diffoscope shows in what" >&2
    trap - EXIT
    echo "both are in $scratch" >&2
    exit 1
fi
echo "both builds have the same octets"
