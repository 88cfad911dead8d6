#!/bin/sh
# Installs what is missing for: build (libclang, make), test (cargo-nextest, swaks, Python, strace, valgrind, foreign
# mail servers, Chromium, Prometheus, NSD, SpamAssassin, and rspamd), faults (nft, ip and tc, strace, mkfs.ext4), fuzz (cargo-fuzz), bench (Postfix, Exim),
# lint (cargo-deny), deb (cargo-deb, cargo-cyclonedx), chart (Helm), pictures (pngquant). Packages come by apt where this user may install them; otherwise one
# line says what to install. What is there already is left alone, and then nothing is asked of the network.
set -eu

packages=""
wanted() { packages="$packages $1"; }

# Tests that need one of these are skipped where it is missing.
welcome=""
welcomed() { welcome="$welcome $1"; }

has_file() {
    for file in "$@"; do
        case $file in
        # The C++ library, which comes with other packages and is of no use here.
        *libclang-cpp*) ;;
        *) [ -e "$file" ] && return 0 ;;
        esac
    done
    return 1
}

# The library, and the headers that belong to it: without stddef.h it can not read RocksDB's.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    has_file /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib/libclang*.so* \
        /usr/lib64/libclang*.so* /usr/local/lib/libclang*.so* \
        /opt/homebrew/opt/llvm/lib/libclang.dylib \
        /Library/Developer/CommandLineTools/usr/lib/libclang.dylib &&
        has_file /usr/lib/llvm-*/lib/clang/*/include/stddef.h /usr/lib*/clang/*/include/stddef.h \
            /usr/local/lib/clang/*/include/stddef.h /opt/homebrew/opt/llvm/lib/clang/*/include/stddef.h \
            /Library/Developer/CommandLineTools/usr/lib/clang/*/include/stddef.h
}

# A cargo subcommand goes where cargo itself lives, and is built away from the tree's target. One
# that runs for a second is built without optimisation, which takes a third of the time. The version
# is one that this tree's Rust compiles; any other that is there already will do.
cargo_tool() {
    command -v "$1" >/dev/null 2>&1 && return 0
    [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/$1" ] && return 0
    echo "setup: building $1 (once)"
    scratch=$(mktemp -d)
    # shellcheck disable=SC2086
    CARGO_TARGET_DIR="$scratch" cargo install --quiet --locked ${3:-} "$1@$2" || {
        rm -rf "$scratch"
        echo "setup: could not build $1: install it with 'cargo install --locked $1@$2'" >&2
        exit 1
    }
    rm -rf "$scratch"
}

for purpose in "$@"; do
    case $purpose in
    build)
        has_libclang || wanted libclang-dev
        command -v c++ >/dev/null 2>&1 || wanted g++
        # jemalloc is built with it.
        command -v make >/dev/null 2>&1 || wanted make
        ;;
    test)
        command -v swaks >/dev/null 2>&1 || wanted swaks
        # swaks only recommends what it needs for STARTTLS.
        perl -MNet::SSLeay -e 1 >/dev/null 2>&1 || wanted libnet-ssleay-perl
        command -v python3 >/dev/null 2>&1 || wanted python3
        command -v strace >/dev/null 2>&1 || wanted strace
        # It counts instructions.
        command -v valgrind >/dev/null 2>&1 || welcomed valgrind
        python3 -c "import yaml" >/dev/null 2>&1 ||
            /usr/bin/python3 -c "import yaml" >/dev/null 2>&1 || welcomed python3-yaml
        python3 -c "import jinja2" >/dev/null 2>&1 ||
            /usr/bin/python3 -c "import jinja2" >/dev/null 2>&1 || welcomed python3-jinja2
        python3 -c "import aiosmtplib" >/dev/null 2>&1 ||
            /usr/bin/python3 -c "import aiosmtplib" >/dev/null 2>&1 || welcomed python3-aiosmtplib
        python3 -c "import aiosmtpd" >/dev/null 2>&1 ||
            /usr/bin/python3 -c "import aiosmtpd" >/dev/null 2>&1 || welcomed python3-aiosmtpd
        perl -MMail::SpamAssassin -e 1 >/dev/null 2>&1 || welcomed spamassassin
        # It brings the browser along.
        has_file /usr/bin/chromedriver || welcomed chromium-driver
        command -v dpkg-shlibdeps >/dev/null 2>&1 || welcomed dpkg-dev
        command -v testssl >/dev/null 2>&1 || command -v testssl.sh >/dev/null 2>&1 || welcomed testssl.sh
        # Only root can run it; and it would take the place of another mail server.
        [ "$(id -u)" != 0 ] || has_file /usr/sbin/postfix /usr/sbin/sendmail || welcomed postfix
        ;;
    faults)
        # What stands in sbin is not in every user's PATH.
        has_file /usr/sbin/nft /sbin/nft || wanted nftables
        has_file /usr/sbin/tc /sbin/tc || wanted iproute2
        has_file /usr/sbin/mkfs.ext4 /sbin/mkfs.ext4 || wanted e2fsprogs
        command -v strace >/dev/null 2>&1 || wanted strace
        command -v perl >/dev/null 2>&1 || wanted perl-base
        command -v nsenter >/dev/null 2>&1 || wanted util-linux
        ;;
    bench)
        [ -x /usr/sbin/smtp-source ] || wanted postfix
        ;;
    pictures)
        command -v pngquant >/dev/null 2>&1 || wanted pngquant
        ;;
    deb)
        # It finds out which libraries a program needs.
        command -v dpkg-shlibdeps >/dev/null 2>&1 || wanted dpkg-dev
        ;;
    esac
done

root=""
if [ "$(id -u)" != 0 ]; then
    root="sudo -n"
    sudo -n true 2>/dev/null || root="none"
fi
command -v apt-get >/dev/null 2>&1 || root="none"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt_get() {
    echo "apt-get $*" >>"$log"
    $root env DEBIAN_FRONTEND=noninteractive apt-get "$@" >>"$log" 2>&1
}

if [ -n "$packages$welcome" ] && [ "$root" = none ]; then
    [ -z "$welcome" ] || echo "setup: tests are skipped without:$welcome (names of Debian packages)" >&2
    if [ -n "$packages" ]; then
        echo "setup: please install:$packages (names of Debian packages)" >&2
        exit 1
    fi
elif [ -n "$packages$welcome" ]; then
    echo "setup: installing$packages$welcome"
    # Postfix is wanted for its programs only: no main.cf, so that no mail service starts.
    case "$packages$welcome" in
    *postfix*)
        echo "postfix postfix/main_mailer_type select No configuration" | $root debconf-set-selections || true
        ;;
    esac
    # A source that can not be reached is no reason to give up: the others may have what is wanted.
    apt_get update || true
    # shellcheck disable=SC2086
    if [ -n "$packages" ] && ! apt_get install -y --no-install-recommends $packages; then
        tail -n 20 "$log" >&2
        echo "setup: apt failed; please install:$packages" >&2
        exit 1
    fi
    # shellcheck disable=SC2086
    if [ -n "$welcome" ] && ! apt_get install -y --no-install-recommends $welcome; then
        tail -n 20 "$log" >&2
        echo "setup: apt failed; tests are skipped without:$welcome" >&2
    fi
fi

target_directory() {
    cargo metadata --format-version 1 --no-deps --offline | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'
}

# Exim, for tests and benches that root runs. Its package and that of Postfix exclude each other, so it is not
# installed: its files go beside what cargo builds, and it gives nobody root's rights there.
unpack_exim() {
    [ "$root" = "" ] && command -v dpkg >/dev/null 2>&1 || return 0
    target=$(target_directory)
    has_file /usr/sbin/exim4 "$target/exim/usr/sbin/exim4" && return 0
    echo "setup: unpacking exim4-daemon-light"
    apt-cache show exim4-daemon-light >/dev/null 2>&1 || apt_get update || true
    libraries=$(apt-cache depends exim4-daemon-light | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p')
    scratch=$(mktemp -d)
    # shellcheck disable=SC2086
    if ! (cd "$scratch" && apt_get install -y --no-install-recommends --no-upgrade $libraries &&
        apt_get download exim4-daemon-light && dpkg -x exim4-daemon-light_*.deb exim &&
        chmod u-s exim/usr/sbin/exim4 && mkdir -p "$target" && mv exim "$target/exim") >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "setup: could not unpack Exim; tests with it are skipped" >&2
    fi
    rm -rf "$scratch"
}

# Prometheus and promtool. Its package would start a service, so the two programs go beside what cargo
# builds; they need no library but libc, and no rights.
unpack_prometheus() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 0
    target=$(target_directory)
    has_file /usr/bin/promtool "$target/prometheus/usr/bin/promtool" && return 0
    echo "setup: unpacking prometheus"
    apt-cache show prometheus >/dev/null 2>&1 || [ "$root" = none ] || apt_get update || true
    scratch=$(mktemp -d)
    if ! (cd "$scratch" && apt-get download prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb |
        tar -x ./usr/bin/prometheus ./usr/bin/promtool && mkdir -p "$target/prometheus" &&
        mv usr "$target/prometheus/usr") >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "setup: could not unpack Prometheus; tests with it are skipped" >&2
    fi
    rm -rf "$scratch"
}

# NSD, a name server, and ldnsutils, which sign a zone for it, with the libraries that few other programs
# need. Its package would start a service, too.
unpack_nsd() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 0
    target=$(target_directory)
    has_file "$target/nsd/usr/sbin/nsd" && return 0
    has_file /usr/sbin/nsd && has_file /usr/bin/ldns-signzone && return 0
    echo "setup: unpacking nsd"
    apt-cache show nsd >/dev/null 2>&1 || [ "$root" = none ] || apt_get update || true
    libraries=$(apt-cache depends nsd ldnsutils |
        sed -n 's/^ *Depends: \(lib\(ldns\|event\|protobuf-c\)[^ ]*\)$/\1/p' | sort -u)
    scratch=$(mktemp -d)
    # shellcheck disable=SC2086
    if ! (cd "$scratch" && apt-get download nsd ldnsutils $libraries &&
        for package in *.deb; do dpkg-deb -x "$package" nsd || exit 1; done &&
        mkdir nsd/libraries && mv nsd/usr/lib/*-linux-*/*.so* nsd/libraries && mkdir -p "$target" &&
        mv nsd "$target/nsd") >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "setup: could not unpack NSD; tests with it are skipped" >&2
    fi
    rm -rf "$scratch"
}

# rspamd, with the libraries that few other programs need. Its package would start a service, too.
unpack_rspamd() {
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 || return 0
    target=$(target_directory)
    has_file "$target/rspamd/usr/bin/rspamadm" && return 0
    echo "setup: unpacking rspamd"
    apt-cache show rspamd >/dev/null 2>&1 || [ "$root" = none ] || apt_get update || true
    libraries=$(apt-cache depends rspamd |
        sed -n 's/^ *Depends: \(lib\(hyperscan\|luajit2\|sodium\|unwind\)[^ ]*\)$/\1/p' | sort -u)
    scratch=$(mktemp -d)
    # shellcheck disable=SC2086
    if ! (cd "$scratch" && apt-get download rspamd $libraries &&
        for package in *.deb; do dpkg-deb -x "$package" rspamd || exit 1; done &&
        mkdir rspamd/libraries && mv rspamd/usr/lib/*-linux-*/*.so* rspamd/usr/lib/rspamd/*.so* rspamd/libraries &&
        mkdir -p "$target" && mv rspamd "$target/rspamd") >>"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "setup: could not unpack rspamd; tests with it are skipped" >&2
    fi
    rm -rf "$scratch"
}

# Helm, as a library for Python that somebody else than its authors has packed: so it is for `make chart` only, and
# no other file than the one that was looked at will do.
unpack_helm() {
    target=$(target_directory)
    has_file "$target/helm/helm_python" && return 0
    echo "setup: unpacking helm"
    scratch=$(mktemp -d)
    echo "helm-python-sdk==0.2.2 --hash=sha256:28cc13abaf134c3a7e37f070c939be8d9cdc9825c3c8b8b2d35161073bcd4578" \
        >"$scratch/requirements"
    if ! (python3 -m pip install --quiet --no-deps --only-binary :all: --require-hashes --target "$scratch/helm" \
        --requirement "$scratch/requirements" && mkdir -p "$target" && mv "$scratch/helm" "$target/helm") >>"$log" 2>&1
    then
        tail -n 20 "$log" >&2
        echo "setup: could not get Helm; tests with it are skipped" >&2
    fi
    rm -rf "$scratch"
}

# What makes the Debian packages, and the lists of what is in them.
packers() {
    cargo_tool cargo-deb 3.8.0 --debug
    cargo_tool cargo-cyclonedx 0.5.9 --debug
}

for purpose in "$@"; do
    case $purpose in
    test)
        unpack_exim
        unpack_prometheus
        unpack_nsd
        unpack_rspamd
        cargo_tool cargo-nextest 0.9.143
        ;;
    bench) unpack_exim ;;
    lint) cargo_tool cargo-deny 0.20.2 --debug ;;
    deb) packers ;;
    chart) unpack_helm ;;
    fuzz)
        cargo +nightly --version >/dev/null 2>&1 || {
            echo "setup: please install a nightly compiler: rustup toolchain install nightly --profile minimal" >&2
            exit 1
        }
        cargo_tool cargo-fuzz 0.13.1 --debug
        ;;
    esac
done
