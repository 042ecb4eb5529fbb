//! Repeats one step of a frame's way. `ci/instructions.sh` runs this under callgrind, twice with different numbers of
//! repetitions, so that what is done only once cancels out. `hanja-instructions` lists the scenes, `hanja-instructions
//! SCENE N` runs one N times.

#![forbid(unsafe_code)]

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let mut scenes = hanja_ring::counts::scenes();
    scenes.extend(hanja_infer::counts::scenes());
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        scenes.iter().for_each(|(name, _)| println!("{name}"));
        return Ok(());
    };
    let times: u64 = arguments.next().context("how often?")?.parse()?;
    let (_, scene) = scenes
        .iter()
        .find(|(known, _)| *known == name)
        .with_context(|| format!("there is no scene {name}"))?;
    let mut step = scene();
    for _ in 0..times {
        step();
    }
    Ok(())
}
