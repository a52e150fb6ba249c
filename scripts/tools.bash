# Finds what is needed to build, run and test, and installs what is missing of it. Sourced by scripts/demo and
# scripts/test, which set `program`; needs bash alone, since on a bare machine there is nothing else.
# shellcheck shell=bash

readonly dpdk_oldest=22.11

# Debian's packages that are missing.
missing=()
missing_rust=false

# fail SENTENCE
fail() {
    echo "${program:?}: $1" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# at_least WANTED FOUND: whether version FOUND is WANTED or newer.
at_least() { [[ -n $2 ]] && printf '%s\n' "$1" "$2" | sort --version-sort --check=silent; }

now_us() { echo "${EPOCHREALTIME//[!0-9]/}"; }

# since START_US: seconds with one decimal.
since() {
    local tenths=$((($(now_us) - $1) / 100000))
    echo "$((tenths / 10)).$((tenths % 10))"
}

thousands() { sed ':more; s/\B[0-9]\{3\}\>/,&/; t more' <<<"$1"; }

rust_wanted() { sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1; }

# The version of a program of Rust's: `cargo 1.91.0 (...)`.
version_of() { "$1" --version 2>/dev/null | sed -n '1s/^[a-z]* \([0-9.]*\).*/\1/p'; }

# Puts the first directory with a cargo and rustc that are new enough first in PATH.
use_rust() {
    local wanted dir dirs
    wanted=$(rust_wanted)
    IFS=: read -ra dirs <<<"$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin"
    for dir in "${dirs[@]}"; do
        if [[ -x $dir/cargo && -x $dir/rustc ]] && at_least "$wanted" "$(version_of "$dir/cargo")" &&
            at_least "$wanted" "$(version_of "$dir/rustc")"; then
            PATH=$dir:$PATH
            return
        fi
    done
    return 1
}

has_libclang() {
    local dir file
    for dir in ${LIBCLANG_PATH:+"$LIBCLANG_PATH"} /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib64 /usr/local/lib; do
        for file in "$dir"/libclang.so* "$dir"/libclang-[0-9]*.so*; do
            [[ ! -e $file ]] || return 0
        done
    done
    return 1
}

has_certificates() {
    [[ -s /etc/ssl/certs/ca-certificates.crt || -s /etc/pki/tls/certs/ca-bundle.crt || -s /etc/ssl/cert.pem ]]
}

# need COMMAND PACKAGE
need() { has "$1" || missing+=("$2"); }

# What a build needs.
need_build() {
    { has cc && cc -x c -E - <<<'#include <stdlib.h>' >/dev/null 2>&1; } || missing+=(build-essential)
    need pkg-config pkg-config
    { has pkg-config && pkg-config --exists "libdpdk >= $dpdk_oldest"; } || missing+=(libdpdk-dev)
    has_libclang || missing+=(libclang-dev)
    # Cargo fetches over TLS.
    has_certificates || missing+=(ca-certificates)
    use_rust || {
        missing_rust=true
        missing+=(rustc-web cargo-web)
    }
}

# What looks at the source. Clippy numbers itself 0.1.91 in Rust 1.91.
need_lints() {
    local clippy
    if ! $missing_rust; then
        clippy=$(version_of cargo-clippy)
        if cargo fmt --version >/dev/null 2>&1 && at_least "$(rust_wanted)" "${clippy#0.}"; then
            return
        fi
        # Debian's lints go with Debian's Rust alone.
        [[ $(command -v cargo) == /usr/bin/cargo ]] ||
            fail "this Rust lacks \`cargo fmt' or \`cargo clippy': rustup component add rustfmt clippy"
    fi
    missing+=(rustfmt-web rust-web-clippy)
}

# Debian keeps a newer Rust in its security archive, which a minimal system may not have among its sources. Prints
# apt's options to use it as well: it stands beside the archive that this system uses.
security_archive() {
    local dir=$1 codename site
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    # shellcheck disable=SC2016
    site=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
        sed -n "s|/* $codename\$||p" | head -n 1)
    [[ -n $codename && -n $site ]] || return 1
    mkdir "$dir"
    cp -r /etc/apt/sources.list.d/. "$dir"/ 2>/dev/null || true
    echo "deb $site-security $codename-security main" >"$dir/security-of-debian.list"
    echo "Dir::Etc::SourceParts=$dir"
}

# has_new_rust [APT'S OPTIONS...]: whether what is missing of Rust can be had as new as it is wanted.
has_new_rust() {
    local package candidate
    for package in "${missing[@]}"; do
        [[ $package == *-web || $package == rust-web-* ]] || continue
        candidate=$(LC_ALL=C apt-cache "$@" policy "$package" | sed -n 's/^ *Candidate: //p')
        at_least "$(rust_wanted)" "$candidate" || return 1
    done
}

# install_missing DIR: DIR is for files that may be thrown away.
install_missing() {
    local dir=$1 log=$1/install.log option extra=() command="apt-get install --no-install-recommends ${missing[*]}"
    ((${#missing[@]} > 0)) || return 0
    has apt-get || fail "this is missing, by the names of Debian's packages: ${missing[*]}"
    ((EUID == 0)) || fail "this is missing: run this once as root, or as root $command"
    echo "installs ${missing[*]}" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get -q update >"$log" 2>&1 || show_and_fail "$log" "apt-get update does not work: look at apt's sources and the network"
    if ! has_new_rust && option=$(security_archive "$dir/apt"); then
        echo "takes Rust from Debian's security archive, since apt's own sources have none of $(rust_wanted)" >&2
        extra=(-o "$option")
        apt-get -q "${extra[@]}" update >"$log" 2>&1 ||
            show_and_fail "$log" "the security archive cannot be reached: add it to apt's sources, or install Rust by rustup"
    fi
    has_new_rust "${extra[@]}" ||
        fail "Rust $(rust_wanted) or newer is missing, and apt has none: install it by rustup"
    apt-get -q "${extra[@]}" install --yes --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null ||
        show_and_fail "$log" "packages could not be installed: $command"
    ! $missing_rust || use_rust || fail "Rust was installed but is not in PATH"
}

# show_and_fail LOG SENTENCE
show_and_fail() {
    tail -n 30 "$1" >&2
    fail "$2"
}

# Free hugepages of all sizes, in megabytes.
free_huge_mb() {
    local dir kb sum=0
    for dir in /sys/kernel/mm/hugepages/hugepages-*; do
        [[ -r $dir/free_hugepages ]] || continue
        kb=${dir##*-}
        sum=$((sum + $(<"$dir/free_hugepages") * ${kb%kB} / 1024))
    done
    echo "$sum"
}

# The first CPU on which this process may run.
first_cpu() {
    local cpus
    cpus=$(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)
    echo "${cpus%%[-,]*}"
}

# Where cargo builds.
target_dir() {
    cargo metadata --no-deps --locked --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

# What the tests and the demo let connect.
need_clients() {
    need ip iproute2
    need ping iputils-ping
    need curl curl
    need nc netcat-openbsd
}

# What the tests let serve. Who is not root cannot make the namespace that it serves in.
need_servers() {
    ((EUID != 0)) || need nginx nginx-light
}
