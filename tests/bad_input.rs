//! Whatever is wrong from outside: one clear line that names the thing and the remedy, the right exit code, never a
//! panic, a hang or a leftover.

use crate::harness::*;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

fn refused(place: &Place, arguments: &[&str], words: &[&str]) {
    assert_refused(&place.output(arguments), 1, words);
    place.assert_clean();
}

#[test]
fn a_missing_camera() {
    let words = [
        "no camera at /dev/video97",
        "cameras found:",
        "--source synth:",
    ];
    refused(
        &Place::new(),
        &["run", "--source=v4l2:/dev/video97", "--http=off"],
        &words,
    );
}

#[test]
fn a_device_that_is_no_camera() {
    refused(
        &Place::new(),
        &["run", "--source=v4l2:/dev/null", "--http=off"],
        &["/dev/null is not a video device"],
    );
}

#[test]
fn an_empty_directory() {
    let place = Place::new();
    std::fs::create_dir(place.path("pictures")).unwrap();
    let source = format!("--source=dir:{}", place.path("pictures").display());
    refused(
        &place,
        &["run", &source, "--http=off"],
        &["no usable pictures in", "JPEG, PNG"],
    );
}

#[test]
fn a_source_nobody_knows() {
    refused(
        &Place::new(),
        &["run", "--source=rtsp://camera/1", "--http=off"],
        &["unknown source 'rtsp'", "y4m:-"],
    );
    refused(
        &Place::new(),
        &["run", "--source=synth:?fsp=3", "--http=off"],
        &["no option 'fsp'", "did you mean 'fps'"],
    );
}

#[test]
fn a_truncated_jpeg_is_counted_and_the_rest_goes_on() {
    let place = Place::new();
    let clip = place.path("clip.mjpeg");
    let whole = jpeg(320, 240);
    std::fs::write(&clip, [&whole, &whole[..whole.len() / 2], &whole].concat()).unwrap();
    let summary = place.summary(&format!("file:{}?fps=20&loop=1", clip.display()), "2s");
    assert_balanced(&summary);
    assert!(
        summary["frames"]["skipped"]["undecodable"].as_u64() > Some(5),
        "{summary}"
    );
    assert!(
        summary["frames"]["inferred"].as_u64() > Some(5),
        "{summary}"
    );
    assert_eq!(summary["restarts"]["infer"], 0);
    place.assert_clean();
}

#[test]
fn a_frame_that_changes_size() {
    let place = Place::new();
    let pictures = place.path("pictures");
    std::fs::create_dir(&pictures).unwrap();
    std::fs::write(pictures.join("a.jpg"), jpeg(320, 240)).unwrap();
    std::fs::write(pictures.join("b.jpg"), jpeg(640, 480)).unwrap();
    image::RgbImage::new(200, 100)
        .save(pictures.join("c.png"))
        .unwrap();
    let summary = place.summary(&format!("dir:{}?fps=10", pictures.display()), "3s");
    assert_balanced(&summary);
    assert!(
        summary["frames"]["inferred"].as_u64() > Some(15),
        "{summary}"
    );
    place.assert_clean();
}

/// What `hanja run` hands to its stages is text; a name that is none reaches them all the same.
#[test]
fn a_model_whose_name_is_not_utf_8() {
    use std::os::unix::ffi::OsStringExt;
    let place = Place::new();
    let name = std::ffi::OsString::from_vec(b"m\xff.onnx".to_vec());
    let model = place.runtime_dir().with_file_name(name);
    std::fs::write(&model, b"this is not ONNX").unwrap();
    let mut command = place.hanja(&["run", "--source=synth:", "--http=off"]);
    command.arg("--model").arg(&model);
    let out = command.output().unwrap();
    assert_refused(&out, 1, &["m\u{fffd}.onnx is not a usable ONNX model"]);
    place.assert_clean();
}

#[test]
fn models_that_are_none() {
    let place = Place::new();
    let model = place.path("m.onnx");
    let flag = format!("--model={}", model.display());
    std::fs::write(&model, b"this is not ONNX").unwrap();
    refused(
        &place,
        &["run", "--source=synth:", "--http=off", &flag],
        &["m.onnx is not a usable ONNX model", "export"],
    );
    // Valid protobuf, valid ONNX, another kind of model: input "in" straight to output "out".
    let dims = b"\x0a\x02\x08\x01\x0a\x02\x08\x03\x0a\x02\x08\x40\x0a\x02\x08\x40";
    let info = |name: &str| {
        let tensor = [b"\x08\x01\x12".as_slice(), &[dims.len() as u8], dims].concat();
        let kind = [b"\x0a".as_slice(), &[tensor.len() as u8], &tensor].concat();
        [
            b"\x0a".as_slice(),
            &[name.len() as u8],
            name.as_bytes(),
            b"\x12",
            &[kind.len() as u8],
            &kind,
        ]
        .concat()
    };
    let node = b"\x0a\x02in\x12\x03out\x22\x08Identity";
    let part = |tag: u8, body: &[u8]| [&[tag, body.len() as u8], body].concat();
    let graph = [
        part(0x0a, node),
        part(0x12, b"g"),
        part(0x5a, &info("in")),
        part(0x62, &info("out")),
    ]
    .concat();
    let onnx = [
        b"\x08\x08".to_vec(),
        part(0x3a, &graph),
        part(0x42, b"\x10\x0d"),
    ]
    .concat();
    std::fs::write(&model, onnx).unwrap();
    refused(
        &place,
        &["run", "--source=synth:", "--http=off", &flag],
        &["m.onnx is not a YOLOv5 detection model"],
    );
    std::fs::remove_file(&model).unwrap();
    refused(
        &place,
        &["run", "--source=synth:", "--http=off", &flag],
        &["cannot read the model", "hanja-pico, hanja-n"],
    );
}

#[test]
fn a_backend_that_is_not_there() {
    refused(
        &Place::new(),
        &["run", "--source=synth:", "--http=off", "--backend=tensorrt"],
        &["backend tensorrt is not available", "--backend auto"],
    );
}

/// `--backend onnxruntime` without a library that can be used: refused by name, and `auto` goes on and says why.
#[test]
fn an_onnxruntime_that_cannot_be_used() {
    let place = Place::new();
    let [text, old] = ["text.so", "old.so"].map(|name| place.path(name));
    std::fs::write(&text, "no library").unwrap();
    compile_old_onnxruntime(&place, &old);
    let page = place.path("page.png");
    image::GrayImage::from_pixel(64, 64, image::Luma([230]))
        .save(&page)
        .unwrap();
    let page = page.to_str().unwrap();
    for (library, why) in [
        (PathBuf::from(NO_LIBRARY), "cannot be opened"),
        (text, "not a shared library"),
        (old, "onnxruntime 1.14.1: 1.17 or newer is needed"),
    ] {
        let run = |arguments: &[&str]| {
            let mut command = place.hanja(arguments);
            command.env("ORT_DYLIB_PATH", &library);
            command.output().unwrap()
        };
        let out = run(&["detect", "--backend=onnxruntime", page]);
        let named = library.to_str().unwrap();
        let words = [
            "backend onnxruntime is not available",
            named,
            why,
            "pip install onnxruntime",
            "--backend auto",
        ];
        assert_refused(&out, 1, &words);
        let out = run(&["doctor", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let found = |name: &str| {
            let checks = report["checks"].as_array().unwrap();
            let check = checks.iter().find(|c| c["name"] == name).unwrap();
            check["found"].as_str().unwrap().to_owned()
        };
        let choice = found("backend");
        assert!(
            choice.starts_with("rten; not tensorrt: ") && choice.contains(why),
            "{choice}"
        );
        assert!(found("onnxruntime").contains(why), "{report}");
    }
}

/// A library that says that it is onnxruntime 1.14.1, and no more.
fn compile_old_onnxruntime(place: &Place, to: &Path) {
    let source = place.path("old.c");
    let code = r#"
        static const void *api(unsigned n) { (void)n; return 0; }
        static const char *version(void) { return "1.14.1"; }
        static const struct { const void *(*a)(unsigned); const char *(*v)(void); } base = { api, version };
        const void *OrtGetApiBase(void) { return &base; }
    "#;
    std::fs::write(&source, code).expect("the temporary directory is writable");
    let mut cc = std::process::Command::new("cc");
    let status = cc.args(["-shared", "-fPIC", "-o"]).arg(to).arg(&source);
    assert!(status.status().expect("there is a C compiler").success());
}

#[test]
fn a_port_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let flag = format!("--http={address}");
    refused(
        &Place::new(),
        &["run", "--source=synth:", &flag],
        &[&address, "already in use", "--http off"],
    );
}

#[test]
fn a_runtime_directory_that_cannot_be_used() {
    let place = Place::new();
    // A file where the directory should be: unwritable for every user, root included.
    std::fs::write(place.runtime_dir(), "").unwrap();
    let out = place.output(&["run", "--source=synth:", "--http=off"]);
    assert_refused(
        &out,
        1,
        &["cannot use the runtime directory", "--runtime-dir"],
    );
    std::fs::remove_file(place.runtime_dir()).unwrap();
    let deep = Place::new();
    let name = "x".repeat(120);
    std::fs::create_dir(deep.path(&name)).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hanja"));
    let out = command
        .args(["run", "--source=synth:", "--http=off", "--runtime-dir"])
        .arg(deep.path(&name))
        .output()
        .unwrap();
    assert_refused(
        &out,
        1,
        &["cannot use the runtime directory", "--runtime-dir"],
    );
}

#[test]
fn a_full_runtime_directory() {
    let place = Place::new();
    std::fs::create_dir(place.runtime_dir()).unwrap();
    let mount = |arguments: &[&str]| {
        std::process::Command::new(arguments[0])
            .args(&arguments[1..])
            .output()
    };
    let dir = place.runtime_dir().display().to_string();
    // Room for its own root and nothing else.
    let mounted = mount(&[
        "mount",
        "-t",
        "tmpfs",
        "-o",
        "nr_inodes=1,mode=0755",
        "tmpfs",
        &dir,
    ]);
    if !mounted.is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: mounting a full file system needs root");
        return;
    }
    let out = place.output(&["run", "--source=synth:", "--http=off"]);
    let unmounted = mount(&["umount", &dir]).unwrap();
    assert_refused(
        &out,
        1,
        &[
            "cannot use the runtime directory",
            "No space left",
            "--runtime-dir",
        ],
    );
    assert!(unmounted.status.success(), "nothing holds the directory");
}

#[test]
fn an_unknown_configuration_key() {
    let place = Place::new();
    let file = place.path("hanja.toml");
    let flag = format!("--config={}", file.display());
    std::fs::write(&file, "[infer]\ntreads = 2\n").unwrap();
    refused(
        &place,
        &["run", &flag],
        &[
            "hanja.toml",
            "unknown key 'infer.treads'",
            "did you mean 'threads'",
        ],
    );
    std::fs::write(&file, "[infer]\nconf = 7\n").unwrap();
    refused(
        &place,
        &["infer", &flag],
        &["infer.conf = 7 is out of range"],
    );
    refused(
        &place,
        &["run", "--config=/nowhere/hanja.toml"],
        &["cannot read the configuration /nowhere/hanja.toml"],
    );
}

#[test]
fn two_pipelines_on_one_runtime_directory() {
    let place = Place::new();
    let mut first = place.start(&["run", "--source=synth:", "--http=off"]);
    first.wait_for("first detection");
    let out = place.output(&["run", "--source=synth:", "--http=off"]);
    assert_refused(
        &out,
        1,
        &[
            "already runs in",
            "stop it, or choose another directory with --runtime-dir",
        ],
    );
    let out = place.output(&["infer"]);
    assert_refused(&out, 1, &["infer already runs in"]);
    // The first one did not notice.
    let log = first.log();
    first.wait_for_nth("fps", log.lines().filter(|l| l.contains("fps")).count() + 2);
    assert!(
        !first.log().contains("starting it again"),
        "{}",
        first.log()
    );
    first.signal(first.pid(), "TERM");
    assert!(first.wait(LONG).success());
    place.assert_clean();
}

#[test]
fn wrong_usage_is_exit_status_2() {
    let place = Place::new();
    for arguments in [
        &["run", "--sorce=x"][..],
        &["tap", "detectoins"],
        &["run", "--duration=soon"],
        &["detect"],
    ] {
        let out = place.output(arguments);
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {}", text(&out));
    }
    let out = place.output(&["run", "--source=synth:", "--summary=/nowhere/s.json"]);
    assert_refused(&out, 1, &["cannot write the summary /nowhere/s.json"]);
    let out = place.output(&["run", "--source=synth:", "--log=a=b=c"]);
    assert_refused(&out, 1, &["--log", "info"]);
}
