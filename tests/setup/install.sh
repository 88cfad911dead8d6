#!/bin/sh
# Installs what is missing for: build (libclang), test (cargo-nextest, swaks, Python, strace), faults
# (nft, ip and tc, strace, mkfs.ext4), fuzz (cargo-fuzz), bench (Postfix), lint (cargo-deny). Packages
# come by apt where this user may install them; otherwise one line says what to install. What is there
# already is left alone, and then nothing is asked of the network.
set -eu

packages=""
wanted() { packages="$packages $1"; }

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
        ;;
    test)
        command -v swaks >/dev/null 2>&1 || wanted swaks
        # swaks only recommends what it needs for STARTTLS.
        perl -MNet::SSLeay -e 1 >/dev/null 2>&1 || wanted libnet-ssleay-perl
        command -v python3 >/dev/null 2>&1 || wanted python3
        command -v strace >/dev/null 2>&1 || wanted strace
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
    esac
done

if [ -n "$packages" ]; then
    root=""
    if [ "$(id -u)" != 0 ]; then
        root="sudo -n"
        sudo -n true 2>/dev/null || root="none"
    fi
    if [ "$root" = none ] || ! command -v apt-get >/dev/null 2>&1; then
        echo "setup: please install:$packages (names of Debian packages)" >&2
        exit 1
    fi
    echo "setup: installing$packages"
    # Postfix is wanted for its programs only: no main.cf, so that no mail service starts.
    if command -v debconf-set-selections >/dev/null 2>&1; then
        echo "postfix postfix/main_mailer_type select No configuration" | $root debconf-set-selections || true
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086
    # A source that can not be reached is no reason to give up: the others may have what is wanted.
    if ! { { $root apt-get update || true; } && $root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        echo "setup: apt failed; please install:$packages" >&2
        exit 1
    fi
    rm -f "$log"
fi

for purpose in "$@"; do
    case $purpose in
    test) cargo_tool cargo-nextest 0.9.143 ;;
    lint) cargo_tool cargo-deny 0.20.2 --debug ;;
    fuzz)
        cargo +nightly --version >/dev/null 2>&1 || {
            echo "setup: please install a nightly compiler: rustup toolchain install nightly --profile minimal" >&2
            exit 1
        }
        cargo_tool cargo-fuzz 0.13.1 --debug
        ;;
    esac
done
