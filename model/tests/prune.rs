//! `hanja-model prune` from outside and on models made for it.

#![allow(clippy::unwrap_used)]

mod support;

use hanja_model::prune::{Method, prune};
use hanja_onnx::Model;
use hanja_onnx::wire::owned;
use proptest::prelude::*;
use rten_onnx::onnx::{DataType, TensorProto};
use support::{
    bytes, constant, graph, integer, listed, listed_half, node, parse, raw_values, run, shipped,
    small, spread, tensor,
};

fn pruned(file: &[u8], method: Method) -> (Vec<u8>, hanja_model::prune::PruneReport) {
    let mut model = Model::parse(file).unwrap();
    let report = prune(&mut model, method, false).unwrap();
    (model.to_bytes(), report)
}

/// Each value is what it was, or 0; returns the largest magnitude that was lost and the smallest that was kept.
fn lost_and_kept(before: &[f32], after: &[f32]) -> (f32, f32) {
    let (mut lost, mut kept) = (0.0f32, f32::INFINITY);
    for (b, a) in before.iter().zip(after) {
        if *a == 0.0 {
            assert_eq!(a.to_bits(), 0);
            lost = lost.max(b.abs());
        } else {
            assert_eq!(a.to_bits(), b.to_bits());
            kept = kept.min(b.abs());
        }
    }
    (lost, kept)
}

#[test]
fn the_shipped_model_loses_exactly_its_smallest() {
    let file = std::fs::read(shipped()).unwrap();
    let (after, report) = pruned(&file, Method::PerTensor(0.05));
    assert_eq!(after.len(), file.len());
    assert_eq!(report.tensors.len(), 63);
    for t in &report.tensors {
        assert_eq!(t.after, t.values / 20, "{}", t.name);
    }
    let (before, now) = (parse(&file), parse(&after));
    for t in before
        .initializer
        .iter()
        .filter(|t| t.data_type == Some(DataType::FLOAT))
    {
        let name = t.name.as_deref().unwrap();
        let (lost, kept) = lost_and_kept(&raw_values(&before, name), &raw_values(&now, name));
        assert!(lost <= kept, "{name}: {lost} is gone, {kept} is left");
    }
    assert!(
        pruned(&after, Method::PerTensor(0.05)).0 == after,
        "a second run changes nothing"
    );
}

#[test]
fn a_global_share_is_one_threshold() {
    let file = bytes(small());
    let (after, report) = pruned(&file, Method::Global(0.25));
    assert_eq!(report.totals(), (608, 0, 152));
    let all = |file: &[u8]| [raw_values(&parse(file), "a"), raw_values(&parse(file), "b")].concat();
    let (lost, kept) = lost_and_kept(&all(&file), &all(&after));
    assert!(lost <= kept, "{lost} {kept}");
}

#[test]
fn two_of_four_along_the_input_channels() {
    let mut model = small();
    let colours = tensor("colours", &[4, 3, 1, 1], &spread(12));
    let turned = tensor("turned", &[3, 4], &spread(12));
    let plain = tensor("plain", &[4, 3], &spread(12));
    let grouped = tensor("grouped", &[4, 4, 1, 1], &spread(16));
    model.initializer.extend([colours, turned, plain, grouped]);
    model.node.extend([
        node("Conv", &["in", "colours"], &["p"]),
        integer(node("Gemm", &["p", "turned"], &["q"]), "transB", 1),
        node("MatMul", &["q", "plain"], &["r"]),
        integer(node("Conv", &["r", "grouped"], &["s"]), "group", 2),
    ]);
    let file = bytes(model);
    let (after, report) = pruned(&file, Method::TwoOfFour);
    let left: Vec<_> = report
        .left
        .iter()
        .map(|(n, why)| (n.as_str(), why.as_str()))
        .collect();
    assert_eq!(
        left,
        [
            ("colours", "3 input channels are no multiple of 4"),
            ("grouped", "a convolution in groups"),
        ]
    );
    let graph = parse(&after);
    let count = |name: &str, at: &dyn Fn(usize, usize) -> usize, groups: usize| {
        let values = raw_values(&graph, name);
        let before = raw_values(&parse(&file), name);
        for g in 0..groups {
            let places = [0, 1, 2, 3].map(|j| at(g, j));
            let (now, then) = (places.map(|i| values[i]), places.map(|i| before[i]));
            assert_eq!(now.iter().filter(|v| **v == 0.0).count(), 2, "{name} {g}");
            let (lost, kept) = lost_and_kept(&then, &now);
            assert!(lost <= kept, "{name} {g}");
        }
    };
    count("a", &|k, c| 4 * k + c, 8);
    // b: 8 output channels, two groups of input channels, 9 places of the kernel.
    count(
        "b",
        &|g, j| g / 18 * 72 + (g / 9 % 2 * 4 + j) * 9 + g % 9,
        8 * 2 * 9,
    );
    count("turned", &|row, j| 4 * row + j, 3);
    count("plain", &|column, j| 3 * j + column, 3);
    assert_eq!(raw_values(&graph, "colours"), spread(12));
}

#[test]
fn f16_lists_and_constants_are_pruned_too() {
    let values = spread(20);
    let listed = listed("listed", &[4, 5], &values);
    let narrow = listed_half("narrow", &[4, 5], &values);
    let bytes_of = |v: &f32| half::f16::from_f32(*v).to_le_bytes();
    let raw16: Vec<u8> = values.iter().flat_map(bytes_of).collect();
    let raw = TensorProto {
        raw_data: Some(raw16.into()),
        data_type: Some(DataType::FLOAT16),
        ..tensor("raw", &[4, 5], &[])
    };
    let bias = tensor("bias", &[20], &values);
    let held = constant("held", tensor("", &[4, 5], &values));
    let uses = node("MatMul", &["in", "held"], &["out"]);
    let file = bytes(graph(vec![listed, narrow, raw, bias], vec![held, uses]));
    let (after, report) = pruned(&file, Method::PerTensor(0.25));
    let names: Vec<_> = report.tensors.iter().map(|t| t.name.as_str()).collect();
    assert!(names.len() == 4 && !names.contains(&"bias"), "{names:?}");
    for (name, tensor) in Model::parse(&after).unwrap().graph.tensors() {
        let now = tensor.values().unwrap();
        let zeros = now.iter().filter(|v| **v == 0.0).count();
        assert_eq!(zeros, if name == "bias" { 0 } else { 5 }, "{name}");
    }
    let list = &parse(&after).initializer;
    assert_eq!(
        (list[0].float_data.len(), list[1].int32_data.len()),
        (20, 20),
        "lists stay lists"
    );
}

#[test]
fn the_command_reports_and_warns() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (input, output) = (path("in.onnx"), path("out.onnx"));
    let mut model = small();
    model
        .initializer
        .push(tensor("anchors", &[2, 10], &spread(20)));
    model.node.push(node("Mul", &["x", "anchors"], &["z"]));
    std::fs::write(&input, bytes(model)).unwrap();
    let (code, out, err) = run(&["prune", &input, &output]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains("all 3 tensors: 30 zeros, 30 of them new"),
        "{out}"
    ); // 1 + 28 + 1
    assert!(out.contains("compressed with gzip"), "{out}");
    assert!(
        err.contains("anchors lost 1 values") && err.contains("--weights-only"),
        "{err}"
    );
    let (_, out, err) = run(&[
        "prune",
        &input,
        &output,
        "--amount",
        "0.5",
        "--weights-only",
    ]);
    assert!(
        out.contains("all 2 tensors: 304 zeros") && err.is_empty(),
        "{out}{err}"
    );
    let (_, out, _) = run(&["prune", &input, &output, "--global", "--amount", "0.5"]);
    assert!(out.contains("all 3 tensors: 314 zeros"), "{out}");
    let (_, out, _) = run(&["prune", &input, &output, "--pattern", "2:4"]);
    assert!(
        out.contains("anchors  (left: an operand of Mul, no weights)"),
        "{out}"
    );
    // Over its own input, and nothing is left behind.
    assert_eq!(run(&["prune", &output, &output]).0, Some(0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn mistakes_get_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (good, bad, none, output) = (
        path("good.onnx"),
        path("bad.onnx"),
        path("none.onnx"),
        path("out.onnx"),
    );
    std::fs::write(&good, bytes(small())).unwrap();
    std::fs::write(&bad, &bytes(small())[..500]).unwrap();
    std::fs::write(
        &none,
        bytes(graph(Vec::new(), vec![node("Relu", &["in"], &["out"])])),
    )
    .unwrap();
    for (arguments, words) in [
        (
            vec!["/no/such.onnx", &output],
            ["cannot read /no/such.onnx", "No such file"],
        ),
        (
            vec!["/dev/zero", &output],
            ["cannot read /dev/zero", "not a file"],
        ),
        (vec![&bad, &output], [bad.as_str(), "export it again"]),
        (vec![&none, &output], [none.as_str(), "nothing to prune"]),
        (
            vec![&good, &output, "--amount", "3"],
            ["--amount 3", "0 to 1"],
        ),
        (
            vec![&good, "/no/such/place.onnx"],
            ["cannot write /no/such/place.onnx", "No such file"],
        ),
        (
            vec![&good, &output, "--data", "/no/such/set"],
            ["/no/such/set", "images/"],
        ),
    ] {
        let (code, _, err) = run(&[vec!["prune"], arguments].concat());
        assert_eq!(code, Some(1), "{err}");
        assert!(
            words.iter().all(|w| err.contains(w)) && err.lines().count() == 1,
            "{err}"
        );
    }
    let (code, _, _) = run(&[
        "prune",
        &good,
        &output,
        "--pattern",
        "2:4",
        "--amount",
        "0.1",
    ]);
    assert_eq!(code, Some(2));
    assert!(!std::path::Path::new(&output).exists());
}

#[test]
fn what_is_not_known_is_kept() {
    let mut file = hanja_onnx::wire::Message::parse(&bytes(small()))
        .unwrap()
        .into_owned();
    file.push(4711, owned("from the future"));
    let (after, _) = pruned(&file.to_bytes(), Method::PerTensor(0.5));
    assert_eq!(after.len(), file.to_bytes().len());
    assert!(after.ends_with(b"from the future"));
}

/// Any bytes are an error or a model, and `prune` survives it.
fn survive(file: &[u8]) {
    if let Ok(model) = Model::parse(file) {
        for method in [
            Method::PerTensor(0.3),
            Method::Global(0.3),
            Method::TwoOfFour,
        ] {
            let _ = prune(&mut model.clone(), method, false);
        }
    }
}

proptest! {
    #[test]
    fn every_flipped_byte_is_survived(at in any::<prop::sample::Index>(), to: u8) {
        let mut file = bytes(graph(
            vec![tensor("a", &[4, 4, 1, 1], &spread(16)), tensor("g", &[4, 4], &spread(16))],
            vec![
                constant("c", tensor("", &[4, 4], &spread(16))),
                node("Conv", &["in", "a"], &["x"]),
                node("MatMul", &["x", "c"], &["y"]),
                node("Gemm", &["y", "g"], &["out"]),
            ],
        ));
        let at = at.index(file.len());
        file[at] = to;
        survive(&file);
    }
}
