# Sourced by the scripts beside it: what the deb and the tarball have in common, namely the tree of files that both bring.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
target=$host
profile=release
rebuild=yes
# shellcheck disable=SC2034 # read by the scripts that source this
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# Files carry the time of the commit, so that the same commit makes the same package.
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || date +%s)
fi
export SOURCE_DATE_EPOCH

usage() {
    echo "usage: $0 [--target TRIPLE] [--profile NAME] [--no-build]
  --target TRIPLE  for another machine, for example aarch64-unknown-linux-gnu
  --profile NAME   of cargo; dev makes a package of the tests' executables, for tests [release]
  --no-build       take the executables that lie in the target directory" >&2
    exit 2
}

arguments() {
    while (($#)); do
        case $1 in
        --target) target=${2:-} && shift ;;
        --profile) profile=${2:-} && shift ;;
        --no-build) rebuild=no ;;
        *) usage ;;
        esac
        shift
    done
    if [ -z "$target" ] || [ -z "$profile" ]; then usage; fi
}

# Where cargo puts the executables: profile_dir TRIPLE-or-empty PROFILE
profile_dir() {
    local name=$2
    [ "$name" = dev ] && name=debug
    echo "${CARGO_TARGET_DIR:-target}/${1:+$1/}$name"
}

build() {
    local cross=()
    if [ "$target" != "$host" ]; then
        cross=(--target "$target")
        # Debian's cross compiler links, unless a linker has been named already.
        local linker=${target^^}
        linker=CARGO_TARGET_${linker//-/_}_LINKER
        export "$linker=${!linker:-${target%%-*}-linux-gnu-gcc}"
    fi
    [ "$rebuild" = no ] || cargo build --locked --profile "$profile" "${cross[@]}" -p hanja -p hanja-model
    if [ "$target" = "$host" ]; then
        built=$(profile_dir "" "$profile")
        native=$built
    else
        built=$(profile_dir "$target" "$profile")
        # Manual pages are written by the executable itself, so one for this machine is needed as well.
        native=$(profile_dir "" dev)
        cargo build --locked -p hanja -p hanja-model
    fi
}

strip_tool() {
    if [ "$target" = "$host" ]; then echo strip; else echo "${target%%-*}-linux-gnu-strip"; fi
}

# Everything, as it lies below / with the prefix /usr: stage DIR
stage() {
    local root=$1 share=$1/usr/share doc=$1/usr/share/doc/hanja-pipeline
    rm -rf "$root"
    build
    install -d "$root/usr/bin" "$root/etc/hanja" "$doc/examples" "$share/man/man5" "$share/man/man8"
    local strip name
    strip=$(strip_tool)
    for name in hanja hanja-model; do
        install -m 755 "$built/$name" "$root/usr/bin/"
        "$strip" --strip-unneeded --remove-section=.comment "$root/usr/bin/$name"
        "$native/$name" manual "$share"
    done
    stage_system "$root"
    stage_library "$root" "$strip"
    stage_documents "$share" "$doc"
    # The models are inside the executables; these are for other tools: trtexec, hanja-model prune, Netron.
    install -d "$share/hanja-pipeline/models"
    install -m 644 model/weights/*.onnx "$share/hanja-pipeline/models/"
    find "$root" -type d -exec chmod 755 {} +
}

stage_system() {
    local lib=$1/usr/lib
    install -d "$lib/systemd/system" "$lib/sysusers.d" "$lib/tmpfiles.d"
    install -m 644 systemd/*.service systemd/*.socket "$lib/systemd/system/"
    install -m 644 systemd/sysusers.conf "$lib/sysusers.d/hanja-pipeline.conf"
    install -m 644 systemd/tmpfiles.conf "$lib/tmpfiles.d/hanja-pipeline.conf"
    install -m 644 systemd/hanja.toml "$1/etc/hanja/"
}

stage_library() {
    local root=$1 strip=$2 cross=()
    [ "$target" = "$host" ] || cross=(CARGO_BUILD_TARGET="$target")
    env "${cross[@]}" DESTDIR="$(realpath "$root")" PREFIX=/usr bash bindings/c/install.sh
    # The static library is as large as everything else together, and of use to few: bindings/c/install.sh makes it.
    rm "$root/usr/lib/libhanja_tap.a"
    sed -i '/^Libs.private/d' "$root/usr/lib/pkgconfig/hanja_tap.pc"
    chmod 644 "$root"/usr/lib/libhanja_tap.so.*
    "$strip" --strip-unneeded --remove-section=.comment "$root"/usr/lib/libhanja_tap.so.*
    install -d "$root/usr/share/hanja-pipeline/python"
    install -m 644 bindings/python/hanja_tap.py "$root/usr/share/hanja-pipeline/python/"
}

stage_documents() {
    local share=$1 doc=$2 list
    install -m 644 packaging/man/*.5 "$share/man/man5/"
    install -m 644 packaging/man/*.8 "$share/man/man8/"
    install -m 644 README.md README.ko.md LICENSE-MIT LICENSE-APACHE CHANGELOG.md "$doc/"
    install -m 644 systemd/examples/* bindings/c/example.c "$doc/examples/"
    (cd docs && find . -type f -exec install -D -m 644 {} "../$doc/docs/{}" \;)
    python3 packaging/third-party.py "$target" >"$doc/third-party-licences.txt"
    list=$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html
    [ ! -f "$list" ] || install -m 644 "$list" "$doc/rust-standard-library.html"
}
