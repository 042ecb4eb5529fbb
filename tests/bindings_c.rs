//! The C header and library: every offset against Rust's and against docs/abi.md, every function against a real
//! pipeline. Needs a C compiler (`cc`, or `CC`), as building the project does. ci/bindings.sh does the same with gcc
//! and clang on the installed library, and under valgrind.

use hanja_record::{
    Detection, DetectionHeader, FrameMeta, HistogramRecord, Metric, StageStats, Times,
};
// Links nothing: makes cargo build the library.
use crate::harness::*;
use hanja_tap as _;
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

const WARNINGS: [&str; 6] = [
    "-std=c11",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Werror",
];

fn bindings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../bindings/c")
}

/// Compiles a C file against the header and the static library that cargo has just built.
fn compile(source: &Path, to: &Path) {
    let library = std::env::current_exe()
        .expect("this test")
        .with_file_name("libhanja_tap.a");
    assert!(library.exists(), "{} is not built", library.display());
    let cc = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let out = Command::new(&cc)
        .args(WARNINGS)
        .arg("-I")
        .arg(bindings())
        .arg(source)
        .arg(library)
        .args(["-lpthread", "-lm", "-ldl", "-o"])
        .arg(to)
        .output()
        .unwrap_or_else(|e| panic!("no C compiler ({cc}): {e}; install one, or name it in CC"));
    assert!(out.status.success(), "{}: {}", source.display(), text(&out));
}

/// Runs a compiled program; gives what it printed.
fn run(program: &Path, arguments: &[&str]) -> String {
    let out = Command::new(program)
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(out.status.success(), "{arguments:?}: {}", text(&out));
    String::from_utf8(out.stdout).expect("UTF-8")
}

type Fields = BTreeMap<String, (usize, usize)>;

/// Offset and size of every field that the header asserts, by structure, as the C compiler sees them.
fn fields_of_the_header() -> BTreeMap<String, Fields> {
    let header = std::fs::read_to_string(bindings().join("hanja_tap.h")).expect("the header");
    let mut program =
        String::from("#include \"hanja_tap.h\"\n#include <stdio.h>\nint main(void)\n{\n");
    for line in header.lines() {
        if let Some(names) = line.strip_prefix("HANJA_TAP_AT(") {
            let mut names = names.split(", ");
            let (of, field) = (names.next().expect("type"), names.next().expect("field"));
            program.push_str(&format!(
                "    printf(\"{of} {field} %zu %zu\\n\", offsetof({of}, {field}), sizeof(({of} *)0)->{field});\n"
            ));
        } else if let Some(size) = line.strip_prefix("HANJA_TAP_SIZE(") {
            let of = size.split(", ").next().expect("type");
            program.push_str(&format!("    printf(\"{of} - 0 %zu\\n\", sizeof({of}));\n"));
        }
    }
    program.push_str("}\n");
    let place = Place::new();
    let (source, to) = (place.path("fields.c"), place.path("fields"));
    std::fs::write(&source, program).expect("written");
    compile(&source, &to);
    let mut all: BTreeMap<String, Fields> = BTreeMap::new();
    for line in run(&to, &[]).lines() {
        let words: Vec<_> = line.split(' ').collect();
        let number = |i: usize| words[i].parse::<usize>().expect("a number");
        let fields = all.entry(words[0].to_owned()).or_default();
        fields.insert(words[1].to_owned(), (number(2), number(3)));
    }
    all
}

/// The same of a Rust structure; the names are those of the header, `as` gives Rust's where it differs.
macro_rules! fields_of {
    ($type:ty: $($field:ident $(as $rust:ident)?),* $(,)?) => {{
        // Never read: only for the sizes of its fields.
        fn size<T>(_: impl Fn(&$type) -> &T) -> usize {
            size_of::<T>()
        }
        let mut all = Fields::new();
        all.insert("-".into(), (0, size_of::<$type>()));
        $(fields_of!(@one all, $type, $field $(as $rust)?);)*
        all
    }};
    (@one $all:ident, $type:ty, $field:ident) => { fields_of!(@one $all, $type, $field as $field) };
    (@one $all:ident, $type:ty, $field:ident as $rust:ident) => {
        $all.insert(stringify!($field).into(), (offset_of!($type, $rust), size(|x: &$type| &x.$rust)))
    };
}

#[test]
fn the_header_agrees_with_rust() {
    let header = fields_of_the_header();
    let rust = [
        (
            "hanja_frame_meta",
            fields_of!(FrameMeta: generation, seq, driver_seq, fourcc, width, height, stride, bytes_used, flags,
                reserved0, t_sensor, t_dequeued, t_published, lost_total, dropped_total, t_new_number,
                t_new_time, t_new_picture, reserved),
        ),
        (
            "hanja_times",
            fields_of!(Times: sensor, dequeued, published, acquired, preprocessed, submitted, inferred, postprocessed,
                detections_published, render_acquired, presented, reserved),
        ),
        (
            "hanja_detection_header",
            fields_of!(DetectionHeader: magic, abi_major, abi_minor, header_len, detection_len, count, generation, seq,
                frame_generation, frame_seq, driver_seq, model_id, backend, status, frame_width, frame_height,
                candidates, suppressed, capped, reserved0, times, inferred_total, skipped_busy_total,
                skipped_undecodable_total, skipped_no_signal_total, reserved),
        ),
        (
            "hanja_detection",
            fields_of!(Detection: x1, y1, x2, y2, score, class_number as class, flags, track, reserved),
        ),
        (
            "hanja_metric",
            fields_of!(Metric: id, reserved, count, p50_us, p90_us, p99_us, max_us),
        ),
        (
            "hanja_stage_stats",
            fields_of!(StageStats: magic, abi_major, abi_minor, stage, backend, pid, t_ns, started_ns, generation,
                frames_total, fps_milli, rss_kib, cpu_us, lost_total, dropped_total, skipped_busy_total,
                skipped_undecodable_total, skipped_no_signal_total, newest_ns, readers, words_len, histograms_at,
                histogram_count, histogram_len, leases, taps, cpu_system_us, rss_peak_kib, queue_age_us,
                detections_total, what, metrics, missed_total, presented_total, unbalanced_total, reserved1),
        ),
        (
            "hanja_histogram",
            fields_of!(HistogramRecord: id, reserved, reserved1, sum_ns, counts),
        ),
        (
            "hanja_tap_sample",
            fields_of!(hanja_tap::TapSample: generation, seq, lapped, torn, payload_length, frame),
        ),
    ];
    for (name, fields) in rust {
        assert_eq!(header[name], fields, "{name}");
        // Every byte belongs to a field, so none was left out of both lists.
        let sum: usize = fields.iter().filter(|f| f.0 != "-").map(|f| f.1.1).sum();
        assert_eq!(sum, fields["-"].1, "{name} has bytes that no field names");
    }
}

/// First columns of the tables under a heading of docs/abi.md, one list of offsets per table.
fn documented(heading: &str) -> Vec<Vec<usize>> {
    let path = bindings().join("../../docs/abi.md");
    let text = std::fs::read_to_string(path).expect("docs/abi.md");
    let section = text
        .split("\n## ")
        .find(|s| s.starts_with(heading))
        .unwrap_or_else(|| panic!("no section {heading}"));
    let mut tables = vec![];
    for line in section.lines() {
        let Some(first) = line.strip_prefix('|').and_then(|l| l.split('|').next()) else {
            continue;
        };
        let offsets: Vec<usize> = first.split(',').flat_map(|n| n.trim().parse()).collect();
        if line.starts_with("|---") {
            tables.push(vec![]);
        } else if let Some(table) = tables.last_mut() {
            table.extend(offsets);
        }
    }
    tables
}

#[test]
fn the_header_agrees_with_the_document() {
    let header = fields_of_the_header();
    let tables = [
        // Request and reply share a table; the reply has every offset in it.
        ("Getting a ring", vec!["hanja_reply"]),
        ("A ring", vec!["hanja_ring_header", "hanja_ring_slot"]),
        ("Frame metadata", vec!["hanja_frame_meta"]),
        (
            "Detection record",
            vec!["hanja_detection_header", "hanja_detection"],
        ),
        (
            "Stage statistics",
            vec!["hanja_stage_stats", "hanja_histogram"],
        ),
    ];
    for (heading, structures) in tables {
        let documented = documented(heading);
        assert_eq!(documented.len(), structures.len(), "tables of {heading}");
        for (offsets, name) in documented.iter().zip(structures) {
            assert!(offsets.len() >= 2, "{heading}: no offsets found");
            let known: Vec<_> = header[name].values().map(|(at, _)| *at).collect();
            // A slot's metadata follows its first line.
            let strangers: Vec<_> = offsets
                .iter()
                .filter(|at| !known.contains(at) && header[name]["-"].1 != **at)
                .collect();
            assert!(strangers.is_empty(), "{name}: {strangers:?} are no fields");
            assert!(offsets.is_sorted(), "{heading}: {offsets:?}");
        }
    }
}

#[test]
fn the_library_without_a_pipeline() {
    let place = Place::new();
    let program = place.path("api");
    compile(&bindings().join("tests/api.c"), &program);
    let dir = place.runtime_dir().display().to_string();
    assert_eq!(run(&program, &["alone", &dir]), "passed\n");
}

#[test]
fn the_library_on_a_pipeline() {
    let place = Place::new();
    let (api, raw, example) = (place.path("api"), place.path("raw"), place.path("example"));
    compile(&bindings().join("tests/api.c"), &api);
    compile(&bindings().join("tests/raw.c"), &raw);
    // The example includes <hanja_tap.h>, which -I finds as well.
    compile(&bindings().join("example.c"), &example);
    let running = place.start(&["run", "--source=synth:?size=320x240", "--http=off"]);
    running.wait_for("first detection");
    let dir = place.runtime_dir().display().to_string();
    assert_eq!(run(&api, &["live", &dir]), "passed\n");
    assert!(run(&raw, &[&dir]).trim().parse::<u64>().expect("a number") > 0);
    let lines = run(&example, &["--runtime-dir", &dir, "--count", "5"]);
    assert_eq!(lines.lines().count(), 5, "{lines}");
    for line in lines.lines() {
        let words: Vec<_> = line.split(' ').collect();
        assert!(words[0].parse::<u64>().expect("a frame") > 0, "{line}");
        assert!("一二三四五六七八九十".contains(words[1]), "{line}");
        assert!(words[2].parse::<f32>().expect("a score") >= 0.5, "{line}");
        let corners: Vec<i32> = words[3].split(',').flat_map(str::parse).collect();
        assert!(corners[0] < corners[2] && corners[1] < corners[3], "{line}");
    }
    let capture = running.stage("capture").expect("capture").to_string();
    assert_eq!(run(&api, &["restart", &dir, &capture]), "passed\n");
}
