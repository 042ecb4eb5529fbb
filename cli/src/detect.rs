//! `hanja detect`: still pictures through the very code that sees the camera's frames, without daemons.

use crate::args::{DetectArgs, Global};
use anyhow::Context;
use hanja_infer::Detector;
use hanja_infer::stills::PictureJson;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn detect(global: &Global, args: &DetectArgs) -> anyhow::Result<ExitCode> {
    hanja_stage::logging::start(global.log.as_deref().or(Some("warn")), None)?;
    let mut config = global.config()?;
    args.infer.apply(&mut config)?;
    if let Some(dir) = &args.save {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let pictures = expand(&args.paths)?;
    let mut detector = Detector::load(&config.infer)?;
    let mut out = std::io::stdout().lock();
    let mut failed = 0;
    for path in &pictures {
        // One bad picture is said and passed over; the exit status tells.
        if let Err(e) = one(&mut detector, path, args, &mut out) {
            if e.downcast_ref::<std::io::Error>().is_some() {
                return Err(e); // our own output, not the picture
            }
            eprintln!("hanja: {e}");
            failed += 1;
        }
    }
    if failed > 0 {
        eprintln!(
            "hanja: {failed} of {} pictures could not be read",
            pictures.len()
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn one(
    detector: &mut Detector,
    path: &Path,
    args: &DetectArgs,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let picture = hanja_picture::read(path, u64::MAX)?;
    let found = detector.detect(&picture.view())?;
    let detections = found.detections.to_vec();
    let json = PictureJson::new(path, &picture, &detections, detector.model_info());
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&json)?)?;
    } else {
        let found: Vec<_> = json
            .detections
            .iter()
            .map(|d| format!("{} {:.2}", d.label, d.score))
            .collect();
        let text = if found.is_empty() {
            "nothing".into()
        } else {
            found.join("  ")
        };
        writeln!(out, "{}: {text}", path.display())?;
    }
    if let Some(dir) = &args.save {
        let name = path.file_stem().unwrap_or_default();
        let target = dir.join(name).with_extension("jpg");
        let jpeg = hanja_render::picture::annotated_jpeg(&picture.view(), &detections, 90)
            .map_err(|e| anyhow::anyhow!("{}: {e}", path.display()))?;
        std::fs::write(&target, jpeg)
            .map_err(|e| anyhow::anyhow!("cannot write {}: {e}", target.display()))?;
    }
    Ok(())
}

/// Directories become the pictures in them, sorted; files stay as they are.
fn expand(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    const ENDINGS: [&str; 6] = ["jpg", "jpeg", "png", "bmp", "webp", "jpe"];
    let mut all = Vec::new();
    for path in paths {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let entries =
            std::fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
        let mut inside: Vec<PathBuf> = entries
            .filter_map(|e| e.ok().map(|e| e.path()))
            .filter(|p| {
                let ending = p.extension().and_then(|e| e.to_str()).unwrap_or("");
                ENDINGS
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(ending))
            })
            .collect();
        anyhow::ensure!(
            !inside.is_empty(),
            "no pictures in {}; it takes files ending in {}",
            path.display(),
            ENDINGS.join(", ")
        );
        inside.sort();
        all.extend(inside);
    }
    Ok(all)
}
