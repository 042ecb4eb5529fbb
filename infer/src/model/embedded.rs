//! The models inside the executable, so that one file is enough to run.

/// Name and ONNX of each. The first is the default.
pub(crate) const EMBEDDED: [(&str, &[u8]); 2] = [
    (
        "hanja-pico",
        include_bytes!("../../../model/weights/hanja-pico.onnx"),
    ),
    (
        "hanja-n",
        include_bytes!("../../../model/weights/hanja-n.onnx"),
    ),
];

/// Names of the models inside the executable, the default first; each can stand for a file in
/// [`InferConfig::model`](hanja_stage::config::InferConfig::model).
pub const BUILT_IN: [&str; EMBEDDED.len()] = [EMBEDDED[0].0, EMBEDDED[1].0];
