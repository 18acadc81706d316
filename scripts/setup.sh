#!/usr/bin/env bash
# Makes sure that everything a task needs is on this machine. Does nothing, quickly, when it is.
#
#   scripts/setup.sh build|test|lint
#
# System packages are installed with apt-get when run as root; otherwise the exact line to run is
# printed and the script fails. The same goes for Rust: rustup installs or updates it where rustup is
# there, otherwise the lines to run are printed. Running it twice is running it once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Tools that live in sbin are missing from some users' PATH; rustup installs under the home.
export PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH:/usr/sbin:/sbin"

purpose=${1:-build}
say() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# Before anything is installed for a purpose that does not exist.
case $purpose in
build | test | lint) ;;
*)
    say "unknown purpose $purpose; known are build, test and lint"
    exit 2
    ;;
esac

# --- system packages ---------------------------------------------------------------------------

# Each check asks for what is used, not for a package: other distributions name packages differently.
compiles_c() { have cc && have g++ && echo '#include <stdlib.h>' | cc -E - >/dev/null 2>&1; }
# OpenSSL, built from source for SQLCipher, is configured by a Perl script with these modules.
has_perl() { have perl && perl -MFindBin -MIPC::Cmd -MFile::Compare -e 1 >/dev/null 2>&1; }
has_certificates() { [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -d /etc/pki/tls/certs ]; }

# The tests signal processes with the program: the shell's own `kill` is no use to them.
has_procps() { type -P kill >/dev/null && have sysctl; }

has_faketime() { [ -e /usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1 ]; }

# The web app is built with Node.js. Where the system's own is too old, scripts/web.sh says what to do; it can be done without.
node_packages() {
    { have node && have npm; } && return 0
    have apt-get || return 0
    local offered
    offered=$(apt-cache policy nodejs 2>/dev/null | awk '/Candidate:/ {print $2}')
    if [[ "$offered" == [0-9]* ]] && [ "$(printf '%s\n' 20.19 "$offered" | sort -V | head -n 1)" = 20.19 ]; then
        have node || echo nodejs
        have npm || echo npm
    fi
}

missing_packages() {
    { compiles_c && have make; } || echo build-essential
    have pkg-config || echo pkg-config
    has_perl || echo perl
    have git || echo git
    have curl || echo curl
    has_certificates || echo ca-certificates
    if [ "$purpose" = test ]; then has_procps || echo procps; fi
    # A test shows one process another time. Without the library it skips; elsewhere than here it has another path.
    if [ "$purpose" = test ] && [ "$(uname -m)" = x86_64 ] && have apt-get; then has_faketime || echo faketime; fi
    # The web app's tests drive a browser. Other systems than Debian call the package otherwise: those tests say what is missing.
    if [ "$purpose" = test ] && have apt-get; then [ -x "${CHROMIUM:-/usr/bin/chromium}" ] || echo chromium; fi
    if [ "$purpose" != lint ]; then node_packages; fi
    # Tests in network namespaces need root. Without it they skip, and need no tools.
    if [ "$purpose" = test ] && [ "$(id -u)" = 0 ]; then
        have ip || echo iproute2
        have nft || echo nftables
    fi
}

# Never removes a package to make room for another: what is there was put there by somebody.
apt_install() {
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-remove --no-install-recommends "$@" >&2
}

# How somebody who is not root runs a line as root here. Debian has no sudo where root got a password.
as_root() {
    if have sudo; then echo "sudo sh -c '$1'"; else echo "su - -c '$1'"; fi
}

system_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! have apt-get; then
        say "these packages (by their Debian names) are missing; install them with your package manager:"
        say "  ${missing[*]}"
        exit 1
    fi
    if [ "$(id -u)" != 0 ]; then
        say "system packages are missing. Run this, then try again:"
        say "  $(as_root "apt-get update && apt-get install -y --no-install-recommends ${missing[*]}")"
        exit 1
    fi
    apt_install "${missing[@]}"
    mapfile -t missing < <(missing_packages)
    [ ${#missing[@]} -eq 0 ] || { say "still missing after the installation: ${missing[*]}"; exit 1; }
}

# --- Rust --------------------------------------------------------------------------------------

wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' Cargo.toml)

rust_is_new_enough() {
    local found
    found=$(rustc --version 2>/dev/null | awk '{print $2}') || return 1
    [ -n "$found" ] && have cargo && [ "$(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1)" = "$wanted" ]
}

rust_by_hand() {
    say "Rust $wanted or newer is needed; found: $(rustc --version 2>/dev/null || echo none)."
    say "Run this, then try again:"
    if have rustup; then
        say "  rustup toolchain install stable --profile minimal --component clippy,rustfmt && rustup default stable"
    else
        say "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --component clippy,rustfmt"
        say "  . \"\$HOME/.cargo/env\""
    fi
    exit 1
}

rust() {
    rust_is_new_enough && return 0
    if ! have rustup && [ "$(id -u)" = 0 ] && have apt-get; then
        # Newer Debian and Ubuntu releases package rustup itself. It can't be installed beside their
        # rustc; where that is there it stays, and the lines that are printed set up rustup beside it.
        apt-get update -qq || true
        if [ -n "$(apt-cache show rustup 2>/dev/null)" ]; then
            apt_install rustup || say "the package rustup could not be installed"
        fi
    fi
    have rustup || rust_by_hand
    say "asking rustup for a Rust of $wanted or newer"
    rustup toolchain install stable --profile minimal --component clippy,rustfmt --no-self-update || rust_by_hand
    # A default that somebody chose is left alone; where there is none yet, this is it.
    rustup default >/dev/null 2>&1 || rustup default stable
    rust_is_new_enough || rust_by_hand
}

# --- tools -------------------------------------------------------------------------------------

# Its own target folder: a tool's build should not fill, or be thrown out with, the project's.
# Both tools can be done without, so that their absence is told and does not fail.
cargo_tool() {
    cargo "$1" --version >/dev/null 2>&1 && return 0
    say "installing cargo-$1 (once; takes some minutes)"
    env -u CARGO_TARGET_DIR cargo install --locked "cargo-$1" || say "cargo-$1 could not be installed; going on without"
}

lint_components() {
    cargo clippy --version >/dev/null 2>&1 && cargo fmt --version >/dev/null 2>&1 && return 0
    have rustup && rustup component add clippy rustfmt && return 0
    say "clippy and rustfmt are needed. Run this, then try again:  rustup component add clippy rustfmt"
    exit 1
}

system_packages
rust
case $purpose in
build) ;;
test) cargo_tool nextest ;;
# CI checks licences where cargo-deny is there, and does not spend minutes on building it.
lint)
    lint_components
    [ "${CI:-}" = true ] || cargo_tool deny
    ;;
esac
