//! `hanja check`: whether the configuration could be used, without starting anything. The units ask before a reload.

use crate::args::Global;
use anyhow::Context;
use hanja_capture::SourceUri;
use std::net::ToSocketAddrs;
use std::path::Path;

pub(crate) fn check(global: &Global) -> anyhow::Result<()> {
    let config = global.config()?;
    let path = global
        .config
        .as_deref()
        .unwrap_or(Path::new("the defaults"));
    let name = path.display();
    let source = config.capture.source.as_str();
    if source != "auto" {
        source
            .parse::<SourceUri>()
            .with_context(|| format!("{name}: capture.source"))?;
    }
    hanja_infer::check_backend(&config.infer.backend)
        .with_context(|| format!("{name}: infer.backend"))?;
    let http = config.render.http.as_str();
    if !http.eq_ignore_ascii_case("off") {
        http.to_socket_addrs().map(drop).with_context(|| {
            format!("{name}: render.http = {http} is no address and port, such as 127.0.0.1:8080")
        })?;
    }
    println!("{name}: fine");
    Ok(())
}
