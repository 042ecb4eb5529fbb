//! `hanja check`: whether the configuration could be used, without starting anything. The units ask before a reload,
//! each for its stage, as its user and in its sandbox: there is no network in it, and not every file.

use crate::args::{CheckArgs, CheckedStage, Global};
use anyhow::Context;
use hanja_capture::SourceUri;
use hanja_stage::config::InferConfig;
use std::fs::File;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;

pub(crate) fn check(global: &Global, args: &CheckArgs) -> anyhow::Result<()> {
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
    if matches!(args.stage, None | Some(CheckedStage::Infer)) {
        check_files(&config.infer, args.stage.is_some()).with_context(|| name.to_string())?;
    }
    let http = config.render.http.as_str();
    anyhow::ensure!(
        http.eq_ignore_ascii_case("off") || is_address(http),
        "{name}: render.http = {http} is no address and port, such as 127.0.0.1:8080"
    );
    println!("{name}: fine");
    Ok(())
}

/// The files that infer reads. Whether another user may read them says nothing: `by_infer` tells whether this is infer's.
fn check_files(config: &InferConfig, by_infer: bool) -> anyhow::Result<()> {
    let files = [("model", &config.model), ("engine", &config.engine)];
    for (key, path) in files
        .into_iter()
        .filter_map(|(k, p)| Some((k, p.as_ref()?)))
    {
        if key == "model" && hanja_infer::BUILT_IN.iter().any(|b| Path::new(b) == path) {
            continue;
        }
        let wrong = match File::open(path).and_then(|f| f.metadata()) {
            Ok(meta) if meta.is_file() => continue,
            Ok(_) => "it is not a file".to_owned(),
            Err(e) if e.kind() == ErrorKind::PermissionDenied && !by_infer => {
                let path = path.display();
                eprintln!(
                    "infer.{key} = {path}: not looked at ({e}); the user of infer has to be able to read it"
                );
                continue;
            }
            Err(e) => e.to_string(),
        };
        anyhow::bail!("infer.{key} = {}: {wrong}", path.display());
    }
    Ok(())
}

/// An address, or a name, with a port. Names are not looked up: where this runs there may be nobody to ask.
fn is_address(text: &str) -> bool {
    if text.parse::<SocketAddr>().is_ok() {
        return true;
    }
    let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && host.chars().all(name) && port.parse::<u16>().is_ok()
    })
}
