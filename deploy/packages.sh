#!/bin/sh
# Debian packages of the programs that cargo has built, by `make deb`: deploy/packages.sh CRATE...
# They come into the folder `debian` of cargo's target directory, or into LAYOVER_PACKAGES, with SHA256SUMS and the
# names of the compilers. LAYOVER_PACK: further options for cargo-deb.
set -eu
cd "$(dirname "$0")/.."
target=$(cargo metadata --format-version 1 --no-deps --offline |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
built="$target/release"
packages=${LAYOVER_PACKAGES:-$target/debian}

rm -rf "$built/manual" "$built/completions" "$built/contents" "$packages"
mkdir -p "$built/completions" "$built/contents" "$packages"

# Which libraries a program is made of (CycloneDX). cargo-cyclonedx writes into the tree that it looks at, and
# paths of that into the list: so it looks at a copy, at a place that is always called the same.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -R Cargo.toml Cargo.lock crates tests benches fuzz "$copy"
cargo cyclonedx --quiet --manifest-path "$copy/Cargo.toml" --format json --spec-version 1.5 \
    --describe binaries --no-build-deps

for crate in "$@"; do
    case $crate in
    node) program=layoverd ;;
    ctl)
        program=layover
        for shell in bash zsh fish; do
            "$built/layover" completions "$shell" >"$built/completions/$shell"
        done
        ;;
    *)
        echo "packages: there is no package of $crate, but of: node ctl" >&2
        exit 2
        ;;
    esac
    "$built/$program" manual "$built/manual"
    sed "s|$copy|/layover|g" "$copy/crates/$crate/${program}_bin.cdx.json" \
        >"$built/contents/$program.cdx.json"
    # shellcheck disable=SC2086
    cargo deb --no-build --locked ${LAYOVER_PACK:-} --output "$packages/" --package "$crate"
    cp "$built/contents/$program.cdx.json" "$packages"
done

cd "$packages"
{
    rustc --version
    for compiler in cc c++ ld; do "$compiler" --version 2>/dev/null | head -n 1; done
    dpkg-query --show --showformat '${Package} ${Version}\n' libc6 libstdc++6 dpkg binutils 2>/dev/null || true
} >BUILT-WITH
sha256sum -- *.deb *.json >SHA256SUMS
