//! Pictures, compared with those in `cli/top/snapshots`. `HANJA_BLESS=1 cargo test -p hanja-top` writes them anew: look at
//! what changed before it is committed.

use super::*;
use crate::fixture::{DESK, Life, NOW, frame, healthy, record, with};
use crate::model::SECOND;
use hanja_record::{FrameFlags, MetricId, StageStats};
use hanja_stage::liveness::Presence;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

const COLOR: Look = Look {
    color: true,
    unicode: true,
};
const PLAIN: Look = Look {
    color: false,
    unicode: true,
};
const ASCII: Look = Look {
    color: false,
    unicode: false,
};

fn shot(model: &Model, look: Look, view: View, (width, height): (u16, u16)) -> Buffer {
    let screen = Screen::new(model, NOW, look, "/run/hanja");
    // Through a terminal, as it is done for people.
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|f| screen.draw(view, f.buffer_mut()))
        .unwrap();
    terminal.backend().buffer().clone()
}

#[track_caller]
fn compare(name: &str, buffer: &Buffer) {
    let path = format!("{}/snapshots/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let drawn = plain(buffer);
    if std::env::var_os("HANJA_BLESS").is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(
        drawn == kept,
        "{path} has\n{kept}\nbut this was drawn:\n{drawn}"
    );
}

/// The manual shows the view as it is.
#[test]
fn the_manual_has_the_picture() {
    let dir = env!("CARGO_MANIFEST_DIR");
    let read = |path: &str| std::fs::read_to_string(format!("{dir}/{path}")).unwrap();
    let block = format!("```text\n{}```\n", read("snapshots/80x24.txt"));
    assert!(
        read("../../docs/top.md").contains(&block),
        "put this there:\n{block}"
    );
}

#[test]
fn pictures_are_as_they_were_looked_at() {
    let well = healthy();
    let mut nothing = Model::new(NOW);
    for stage in StageName::ALL {
        nothing.snapshot_mut(stage).presence = Presence::Absent;
    }
    let busy = with(
        Life {
            losses: [0, 0, 3, 0],
            ..Life::capture()
        },
        Life {
            fps: 17.9,
            cores: 1.94,
            steps: vec![
                (MetricId::Queue, 9.2),
                (MetricId::Preprocess, 3.1),
                (MetricId::Inference, 51.7),
                (MetricId::Postprocess, 0.9),
                (MetricId::Announce, 0.1),
                (MetricId::EndToEnd, 66.2),
            ],
            losses: [12, 0, 0, 0],
            ..Life::infer()
        },
        Life::render(),
    );
    for (name, model, look, view, size) in [
        ("80x24", &well, COLOR, View::All, (80, 24)),
        ("80x24-ascii", &well, ASCII, View::All, (80, 24)),
        ("80x24-mono", &well, PLAIN, View::All, (80, 24)),
        ("120x40", &well, COLOR, View::All, (120, 40)),
        ("200x60", &well, COLOR, View::All, (200, 60)),
        ("40x10", &well, COLOR, View::All, (40, 10)),
        ("60x20", &well, COLOR, View::All, (60, 20)),
        ("busy-80x24", &busy, COLOR, View::All, (80, 24)),
        ("busy-40x10", &busy, COLOR, View::All, (40, 10)),
        ("help-80x24", &well, COLOR, View::Help, (80, 24)),
        (
            "infer-80x24",
            &well,
            COLOR,
            View::Stage(StageName::Infer),
            (80, 24),
        ),
        (
            "capture-120x40",
            &well,
            COLOR,
            View::Stage(StageName::Capture),
            (120, 40),
        ),
        ("nothing-80x24", &nothing, COLOR, View::All, (80, 24)),
    ] {
        compare(name, &shot(model, look, view, size));
    }
}

#[test]
fn what_is_wrong_is_seen() {
    let mut gone = healthy();
    gone.snapshot_mut(StageName::Render).presence = Presence::Absent;
    compare(
        "render-gone-80x24",
        &shot(&gone, COLOR, View::All, (80, 24)),
    );

    let mut dark = healthy();
    for s in [6, 4, 2, 0] {
        let mut meta = frame(NOW - s * SECOND - 10_000_000);
        (meta.width, meta.height, meta.flags) = (64, 48, FrameFlags::NO_SIGNAL);
        dark.take_frame(&meta, NOW - s * SECOND);
        dark.take_found(&record(&meta, &[]));
    }
    compare("no-signal-80x24", &shot(&dark, COLOR, View::All, (80, 24)));

    // Infer stopped four seconds ago; the others went on.
    let mut stopped = Model::new(NOW - 90 * SECOND);
    Life::capture().live(&mut stopped, NOW - 60 * SECOND, NOW - SECOND / 2);
    Life::infer().live(&mut stopped, NOW - 60 * SECOND, NOW - 4 * SECOND);
    Life::render().live(&mut stopped, NOW - 60 * SECOND, NOW - SECOND / 2);
    let old = frame(NOW - 4 * SECOND);
    stopped.take_frame(&frame(NOW - 20_000_000), NOW);
    stopped.take_found(&record(&old, &DESK));
    if let Some(process) = &mut stopped.snapshot_mut(StageName::Infer).process {
        process.stopped = true;
    }
    compare(
        "infer-stopped-80x24",
        &shot(&stopped, COLOR, View::All, (80, 24)),
    );
}

#[test]
fn the_sign_is_seen_without_colour() {
    for look in [COLOR, PLAIN, ASCII] {
        let buffer = shot(&healthy(), look, View::All, (80, 24));
        let sign = &buffer.content[2];
        assert_eq!(sign.symbol(), "L");
        assert!(sign.modifier.contains(ratatui::style::Modifier::REVERSED));
        let colors = buffer.content.iter().map(|c| (c.fg, c.bg));
        let colored = colors
            .filter(|c| *c != (Color::Reset, Color::Reset))
            .count();
        assert_eq!(colored > 0, look.color);
        let ascii = buffer.content.iter().all(|c| c.symbol().is_ascii());
        assert_eq!(ascii, look == ASCII);
    }
}

#[test]
fn every_size_and_every_model_can_be_drawn() {
    let mut odd = with(
        Life {
            fps: f64::INFINITY,
            rss_kib: u32::MAX,
            what: "\u{1b}[31m\u{202e}三\n".repeat(20),
            losses: [u64::MAX >> 40; 4],
            ..Life::capture()
        },
        Life {
            started: u64::MAX,
            description: "x".repeat(400),
            steps: vec![(MetricId::Inference, 1e9), (MetricId::Queue, 0.0)],
            ..Life::infer()
        },
        Life {
            cores: 1e9,
            ..Life::render()
        },
    );
    let wild = [f32::NAN, -1e30, 1e30, f32::INFINITY];
    odd.take_found(&record(
        &frame(NOW),
        &[
            (3, f32::NAN, wild),
            (7, 1e9, [-1e30, -1e30, 1e30, 1e30]),
            (65_535, -5.0, [0.0, 0.0, 0.0, 0.0]),
            (9, 0.5, [639.0, 479.0, 640.0, 480.0]),
        ],
    ));
    let mut liar = healthy();
    let mut stats = StageStats::new(2);
    (stats.t_ns, stats.cpu_us, stats.readers, stats.taps) = (u64::MAX, u64::MAX, 1, u32::MAX);
    stats.words_len = u32::MAX;
    use zerocopy::IntoBytes;
    for bytes in [stats.as_bytes(), &[0xff; 1000], &[], b"HJST"] {
        liar.take_stats(StageName::Infer, bytes, NOW);
        liar.take_found(bytes);
    }
    let models = [healthy(), odd, liar, Model::new(0), Model::new(u64::MAX)];
    let views = [View::All, View::Help, View::Stage(StageName::Infer)];
    for model in &models {
        for view in views {
            for width in (0..24).chain([39, 40, 48, 69, 70, 75, 76, 80, 110, 180]) {
                for height in (0..10).chain([15, 16, 20, 23, 24, 31, 32, 40, 60]) {
                    let screen = Screen::new(model, NOW, ASCII, "/run/hanja");
                    let text = plain(&picture(&screen, view, width, height));
                    assert!(!text.contains('\u{1b}'));
                }
            }
        }
    }
}

#[test]
fn pause_cannot_be_mistaken_for_live() {
    let model = healthy();
    let mut screen = Screen::new(&model, NOW, COLOR, "/run/hanja");
    screen.paused = Some(12 * SECOND);
    let text = plain(&picture(&screen, View::All, 80, 24));
    assert!(text.starts_with("  PAUSED 12 s  it was  LIVE "), "{text}");
    assert!(text.contains("space go on"), "{text}");
}

#[test]
fn wide_characters_keep_the_columns() {
    let buffer = shot(&healthy(), COLOR, View::All, (80, 24));
    for line in plain(&buffer).lines() {
        assert!(pen::width_of(line) <= 80, "{line}");
    }
}
