# Sourced by ci/lib.sh and tests/system/lib.sh.
# shellcheck shell=bash

# Installs Debian packages that are missing; elsewhere says what is needed.
need() {
    local missing=()
    for package in "$@"; do
        dpkg -s "$package" 2>/dev/null | grep -q '^Status: .* installed$' || missing+=("$package")
    done
    ((${#missing[@]} == 0)) && return
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        echo "needs root, or these packages: ${missing[*]}" >&2
        return 1
    fi
    apt-get -o DPkg::Lock::Timeout=300 update -qq
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null
}
