//! The web view over pretended stages, for work on the page: `cargo run -p hanja-render --example demo`.
//! Arguments: the address (default 127.0.0.1:8080), and `silent` for frames without records.

#[path = "../tests/fake/mod.rs"]
mod fake;

use hanja_common::config::RenderConfig;
use hanja_common::stage::{Stage, StageName};
use std::time::Duration;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    hanja_common::telemetry::init_logging(Some("info,hanja_fps=warn"))?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let http = args
        .first()
        .map_or("127.0.0.1:8080", String::as_str)
        .to_owned();
    let silent = args.iter().any(|a| a == "silent");
    let dir = tempfile::tempdir()?;
    let stage = Stage::start(StageName::Render, dir.path())?;
    let mut fake = fake::Fake::start(dir.path());
    let pretend = std::thread::spawn(move || {
        while !fake.stopping() {
            fake.step(silent);
            std::thread::sleep(Duration::from_millis(33));
        }
    });
    hanja_render::run(&stage, &RenderConfig { http, token: None })?;
    let _ = pretend.join();
    Ok(())
}
