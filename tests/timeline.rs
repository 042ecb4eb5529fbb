//! Every frame explained: over ten thousand frames, with kills in between, the times of each record sum to its whole,
//! and captured = inferred + skipped + lost; and render's records have the times that infer's cannot have.

use crate::harness::{LONG, Place, assert_balanced, read_json, until};
use hanja_record::{DetectionRecord, MetricId, StageName, StageStats, Status, Topic};
use hanja_ring::{Sample, TapSubscriber};
use hanja_stage::accounting::RecordCheck;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// Frames of the whole run.
const FRAMES: u64 = 10_000;
/// Small pictures and the smallest input, so that this many take seconds.
const SOURCE: &str = "--source=synth:?size=64x64&fps=500&glyphs=1";

/// What a tap has seen of all records.
#[derive(Default)]
struct Seen {
    records: u64,
    inferred: u64,
    missed: u64,
    /// Nanoseconds of all steps, and of all frames from the first to the last stamp.
    steps: u128,
    whole: u128,
    record_check: RecordCheck,
    /// Newest frame of each generation.
    frames: BTreeMap<u64, u64>,
}

/// What a tap has seen of render's records.
#[derive(Default)]
struct Shown {
    /// By lives of render: records, and those whose picture went out.
    lives: BTreeMap<u64, (u64, u64)>,
}

impl Shown {
    /// Takes what is there, at most a ring full.
    fn take_all(&mut self, tap: &mut TapSubscriber, sample: &mut Sample) {
        for _ in 0..64 {
            if !tap.next(sample, Duration::ZERO) {
                return;
            }
            let record = DetectionRecord::from_bytes(&sample.payload).expect("a record");
            let times = record.header.times;
            assert!(times.add_up(), "{times:?}");
            assert!(
                times.render_acquired >= times.detections_published
                    && (times.presented == 0 || times.presented >= times.render_acquired),
                "{times:?}"
            );
            let (records, presented) = self.lives.entry(sample.generation).or_default();
            *records += 1;
            *presented += u64::from(times.presented > 0);
        }
    }
}

impl Seen {
    fn take(&mut self, sample: &Sample) {
        let record = DetectionRecord::from_bytes(&sample.payload).expect("a record");
        let (head, times) = (&record.header, record.header.times);
        self.record_check.check(head).expect("it adds up");
        let set: Vec<_> = times.stamps().into_iter().filter(|t| *t != 0).collect();
        assert!(set.is_sorted(), "{times:?}");
        let steps: f64 = times.stages_ms().iter().map(|(_, ms)| ms).sum();
        let whole = times.end_to_end_ms();
        assert!((steps - whole).abs() <= whole / 100.0, "{times:?}");
        self.steps += (steps * 1e6) as u128;
        self.whole += (whole * 1e6) as u128;
        self.records += 1;
        self.missed += sample.lapped;
        self.inferred += u64::from(head.status == Status::Ok as u16);
        self.frames.insert(head.frame_generation, head.frame_seq);
    }

    /// Frames captured, as far as records tell.
    fn captured(&self) -> u64 {
        self.frames.values().sum()
    }
}

/// (D9)
#[test]
fn ten_thousand_frames_with_kills_add_up() {
    let place = Place::new();
    let summary = place.path("summary.json");
    let flag = format!("--summary={}", summary.display());
    // The same for both lives of render, so that the watcher finds it again.
    let address = free_address();
    let http = format!("--http={address}");
    let mut running = place.start(&["run", SOURCE, "--size=64", "--threads=1", &http, &flag]);
    watch(address);
    let mut records = Topic::Detections.tap(&place.runtime_dir(), StageName::Infer);
    let mut stats = StageName::ALL.map(|s| Topic::Stats.tap(&place.runtime_dir(), s));
    let mut presented = Topic::Presented.tap(&place.runtime_dir(), StageName::Render);
    let (mut sample, mut seen, mut shown) = (Sample::default(), Seen::default(), Shown::default());
    let mut kills = ["infer", "capture", "render", "infer", "capture"]
        .iter()
        .enumerate();
    let mut next_kill = FRAMES / 7;
    let started = Instant::now();
    let mut last = started;
    while seen.captured() < FRAMES {
        assert!(
            last.elapsed() < LONG,
            "no record for long: {}",
            running.log()
        );
        // One at a time: where records never pause, a loop over them would leave no turn to kill anybody.
        if records.next(&mut sample, Duration::from_millis(5)) {
            seen.take(&sample);
            last = Instant::now();
        }
        shown.take_all(&mut presented, &mut sample);
        unbalanced_of(&mut stats);
        if seen.captured() > next_kill
            && let Some((n, name)) = kills.next()
        {
            next_kill = FRAMES * (n as u64 + 2) / 7;
            let pid = running.stage(name).expect("the stage runs");
            running.signal(pid, "KILL");
            until("a new process", || {
                running.stage(name).filter(|now| *now != pid)
            });
        }
    }
    running.signal(running.pid(), "TERM");
    assert!(running.wait(LONG).success(), "{}", running.log());
    let s = read_json(&summary);
    println!(
        "{} records in {:?}, {} missed by the tap; steps {} of {} ns; {}",
        seen.records,
        started.elapsed(),
        seen.missed,
        seen.steps,
        seen.whole,
        s["frames"]
    );
    assert_balanced(&s);
    let n = |v: &serde_json::Value| v.as_u64().expect("a count");
    assert!(n(&s["frames"]["captured"]) >= FRAMES && n(&s["frames"]["inferred"]) >= seen.inferred);
    assert!(seen.whole > 0 && seen.steps.abs_diff(seen.whole) <= seen.whole / 100);
    let restarts = ["capture", "infer", "render"].map(|name| n(&s["restarts"][name]));
    assert_eq!(restarts, [2, 2, 1], "{s}");
    assert!(!running.log().contains("add up"), "{}", running.log());
    // Each life of render handled records, and showed pictures to the one who watched.
    assert_eq!(shown.lives.len(), 2, "{:?}", shown.lives);
    for (records, presented) in shown.lives.values() {
        assert!(*records > 100 && *presented > 0, "{:?}", shown.lives);
    }
}

/// No stage has found anything that does not add up.
fn unbalanced_of(stats: &mut [TapSubscriber; 3]) {
    let mut sample = Sample::default();
    for tap in stats {
        if tap.newest(&mut sample, Duration::ZERO) {
            let s = StageStats::from_bytes(&sample.payload).expect("statistics");
            assert_eq!(s.unbalanced_total, 0, "stage {}", s.stage);
        }
    }
}

/// Where nobody listens now.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}

/// Reads the picture stream until the test ends, and opens it again whenever render is back.
fn watch(address: SocketAddr) {
    std::thread::spawn(move || {
        let request = b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut buffer = [0; 65536];
        loop {
            if let Ok(mut stream) = TcpStream::connect(address)
                && stream.write_all(request).is_ok()
            {
                while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

#[test]
fn render_publishes_its_own_times() {
    let place = Place::new();
    let address = free_address();
    let http = format!("--http={address}");
    let running = place.start(&["run", "--source=synth:?size=160x120", "--size=64", &http]);
    let mut tap = Topic::Presented.tap(&place.runtime_dir(), StageName::Render);
    let mut sample = Sample::default();
    let mut next = || {
        assert!(tap.next(&mut sample, LONG), "{}", running.log());
        let r = DetectionRecord::from_bytes(&sample.payload).expect("a record");
        assert_eq!(
            (r.header.generation, r.header.seq),
            (sample.generation, sample.seq)
        );
        assert!(r.header.times.add_up(), "{:?}", r.header.times);
        r.header.times
    };
    let unseen = next();
    assert!(unseen.render_acquired >= unseen.detections_published && unseen.presented == 0);
    watch(address);
    let shown = until("a picture", || Some(next()).filter(|t| t.presented > 0));
    assert_eq!(
        shown.stamps().iter().filter(|t| **t == 0).count(),
        0,
        "{shown:?}"
    );
    let names: Vec<_> = shown.stages_ms().iter().map(|(name, _)| *name).collect();
    assert_eq!(names[7..], ["announce", "deliver", "present"]);
    let stats = until("statistics of render", || {
        presented_stats(&place.runtime_dir())
    });
    assert_eq!(stats.unbalanced_total, 0);
    assert!(
        stats.presented_total >= u64::from(stats.metric(MetricId::Show).map_or(0, |m| m.count))
    );
}

/// Render's statistics once they tell of pictures.
fn presented_stats(dir: &Path) -> Option<StageStats> {
    let mut tap = Topic::Stats.tap(dir, StageName::Render);
    let mut sample = Sample::default();
    if !tap.newest(&mut sample, Duration::from_secs(2)) {
        return None;
    }
    let stats = StageStats::from_bytes(&sample.payload).ok()?;
    let all = stats.histograms_in(&sample.payload);
    let shown = all.get(MetricId::Show).map_or(0, |h| h.count());
    (shown > 0 && stats.metric(MetricId::Show).is_some()).then_some(stats)
}
