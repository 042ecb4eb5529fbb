#!/usr/bin/env bash
# A user-mode Linux kernel with cameras: Debian's kernel source built with ARCH=um, vivid, and v4l2loopback beside it.
# Prints the directory that holds `linux` and `modules/`; builds only if the cache has none. About eight minutes of one
# core. With --cached: only look, exit 1 if it would have to be built.
. "$(dirname "$0")/lib.sh"
loopback=v4l2loopback-dkms

# The newest kernel source the machine's package sources have.
source_package() { apt-cache depends linux-source 2>/dev/null | awk '/Depends: linux-source-/ {print $2; exit}'; }

build() {
    local to=$1 work package tree
    need flex bison bc gcc make xz-utils libc6-dev kmod
    package=$(source_package)
    [ -n "$package" ] || fail "no package linux-source: the user-mode kernel can be built on Debian only"
    mkdir -p "$cache"
    work=$(mktemp -d "$cache/kernel.XXXXXX")
    # shellcheck disable=SC2064
    trap "rm -rf '$work'" EXIT
    say "building the kernel of $package"
    unpack_package "$package" "$work"
    unpack_package "$loopback" "$work"
    tar xf "$work/usr/src/$package.tar.xz" -C "$work"
    tree=$work/$package
    cd "$tree"
    {
        make -s ARCH=um defconfig
        ./scripts/kconfig/merge_config.sh -m .config "$system_dir/kernel.config"
        make -s ARCH=um olddefconfig
    } >"$work/config.log" 2>&1 || {
        tail -20 "$work/config.log" >&2
        fail "the kernel could not be configured"
    }
    for option in VIDEO_VIVID=m MEMCG=y CGROUP_BPF=y SECCOMP_FILTER=y HOSTFS=y; do
        grep -q "^CONFIG_$option" .config || fail "the kernel cannot be configured with CONFIG_$option"
    done
    ! grep -q "^CONFIG_VMAP_STACK=y" .config || fail "the kernel cannot be configured without CONFIG_VMAP_STACK"
    {
        make -s ARCH=um -j"$(nproc)" linux modules
        make -s ARCH=um M="$(echo "$work"/usr/src/v4l2loopback-*)" modules
    } >"$work/build.log" 2>&1 || {
        tail -20 "$work/build.log" >&2
        fail "the kernel could not be built"
    }
    keep "$work" "$to"
}

# What a run needs, moved into place at once so that a half built one is never taken for whole.
keep() {
    local work=$1 to=$2 version modules
    version=$(make -s ARCH=um kernelrelease)
    modules=$work/out/modules/lib/modules/$version
    mkdir -p "$modules"
    find . "$work"/usr/src/v4l2loopback-* -name '*.ko' -exec cp -t "$modules" {} +
    cp modules.builtin modules.builtin.modinfo modules.order "$modules/"
    depmod -b "$work/out/modules" "$version"
    strip -o "$work/out/linux" linux
    mv "$work/out" "$to"
}

dir=$cache/kernel-$(key "$system_dir/kernel.config" "$system_dir/kernel.sh" <(source_package))
if [ ! -d "$dir" ]; then
    [ "${1:-}" = --cached ] && exit 1
    build "$dir" >&2
fi
echo "$dir"
