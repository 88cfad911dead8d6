#!/bin/sh
# The packages as they are released, by `make release`: whoever builds the same commit with the same compilers gets
# the same octets, wherever his clone lies. What would tell where and when it was built, and does not:
#   - paths, in line tables and in the words of panics and assertions, of Rust, C and C++ alike;
#   - the time, in packages and in lists of contents: that of the commit counts.
# What is built so has a target directory of its own, as RocksDB is compiled with other options.
set -eu
cd "$(dirname "$0")/.."
if [ -n "$(git status --porcelain)" ]; then
    echo "release: what is not committed is in nobody else's clone: commit it, or put it away" >&2
    git status --short >&2
    exit 1
fi
tree=$(pwd -P)
target=$(cargo metadata --format-version 1 --no-deps --offline |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/released
cargo_home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
commit=$(rustc --version --verbose | sed -n 's/^commit-hash: //p')
mkdir -p "$target"

# Of several that fit, the last counts: the target directory mostly lies in the tree.
rust=""
c=""
called() {
    rust="$rust    \"--remap-path-prefix=$1=$2\",
"
    c="$c -ffile-prefix-map=$1=$2"
}
called "$cargo_home" /cargo
called "$(cd "$cargo_home" && pwd -P)" /cargo
# Where the sources of the standard library are installed, its paths are theirs.
called "$sysroot/lib/rustlib/src/rust" "/rustc/$commit"
called "$tree" /layover
called "$target" /built

cat >"$target/paths.toml" <<END
[env]
CFLAGS = { value = "$c", force = true }
CXXFLAGS = { value = "$c", force = true }

# Along with what .cargo/config.toml says.
[target.'cfg(all())']
rustflags = [
$rust]
END

export CARGO_TARGET_DIR="$target"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
export LC_ALL=C TZ=UTC
umask 022
make --no-print-directory deb CARGO="cargo --config $target/paths.toml" "$@"
cat "$target/debian/SHA256SUMS"
