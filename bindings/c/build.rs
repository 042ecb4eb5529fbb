//! Gives the shared library its soname, so that a program finds the version it was linked with.

fn main() {
    // Before 1.0 a minor version may change the interface, and is part of the name.
    let part = |name: &str| std::env::var(name).unwrap_or_default();
    let (major, minor) = (
        part("CARGO_PKG_VERSION_MAJOR"),
        part("CARGO_PKG_VERSION_MINOR"),
    );
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libhanja_tap.so.{major}.{minor}");
    println!("cargo::rerun-if-changed=build.rs");
}
