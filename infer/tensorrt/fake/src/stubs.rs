//! From NVIDIA's headers: a class per class that is stood in for, whose every method ends the process.

use crate::error::FakeError;
use std::fmt::Write as _;

/// Namespace and class.
const CLASSES: [(&str, &str); 11] = [
    ("nvinfer1::apiv", "VRuntime"),
    ("nvinfer1::apiv", "VCudaEngine"),
    ("nvinfer1::apiv", "VExecutionContext"),
    ("nvinfer1::apiv", "VBuilder"),
    ("nvinfer1::apiv", "VBuilderConfig"),
    ("nvinfer1::apiv", "VNetworkDefinition"),
    ("nvinfer1::apiv", "VTensor"),
    ("nvinfer1::apiv", "VHostMemory"),
    ("nvinfer1::apiv", "VTimingCache"),
    ("nvonnxparser", "IParser"),
    ("nvonnxparser", "IParserError"),
];

/// The source of the stubs, from what the preprocessor makes of both headers: no comments, no conditions.
pub(crate) fn generate(text: &str) -> Result<String, FakeError> {
    let mut out = String::from(
        "#pragma once\n#include \"common.hpp\"\n#include \"NvInfer.h\"\n#include \"NvOnnxParser.h\"\n",
    );
    for (namespace, class) in CLASSES {
        let body = body(text, class).ok_or(FakeError::NoClass(class))?;
        let methods: Vec<_> = body.split(';').filter_map(pure_virtual).collect();
        if methods.is_empty() {
            return Err(FakeError::NoMethods(class));
        }
        let _ = writeln!(
            out,
            "namespace {namespace} {{ struct Stub{class} : {class} {{"
        );
        for method in methods {
            let name = method.split('(').next().unwrap_or_default();
            let name = name.rsplit([' ', '*', '&']).next().unwrap_or_default();
            let _ = writeln!(
                out,
                "    {method} override {{ ::fake::trap(\"{class}::{name}\"); }}"
            );
        }
        out.push_str("}; }\n");
    }
    Ok(out)
}

/// What stands between a class's braces.
fn body<'a>(text: &'a str, class: &str) -> Option<&'a str> {
    let head = text
        .match_indices(&format!("class {class}"))
        .find_map(|(at, found)| {
            let after = &text[at + found.len()..];
            let next = after.trim_start();
            (next.starts_with(':') || next.starts_with('{')).then_some(after)
        })?;
    let open = head.find('{')?;
    let mut depth = 0usize;
    for (at, c) in head[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(&head[open + 1..open + at]),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The declaration of a pure virtual method, without `virtual` and `= 0`; destructors are left out.
fn pure_virtual(statement: &str) -> Option<String> {
    let at = statement.find("virtual ")?;
    let declaration = statement[at + "virtual ".len()..]
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let declaration = declaration.strip_suffix("= 0")?.trim_end();
    (!declaration.starts_with('~')).then(|| declaration.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pure_virtual_methods_are_found() {
        let text = "class VRuntime; class VRuntime : public VRoot\n{\npublic:\n virtual ~VRuntime() = 0;\n \
                    virtual int\n a(int b = 1) const noexcept = 0;\n void inline_one() { if (1) {} }\n \
                    [[nodiscard]] virtual X* c() noexcept = 0;\n};";
        let methods: Vec<_> = body(text, "VRuntime")
            .expect("body")
            .split(';')
            .filter_map(pure_virtual)
            .collect();
        assert_eq!(
            methods,
            ["int a(int b = 1) const noexcept", "X* c() noexcept"]
        );
        assert_eq!(body(text, "VRun"), None);
    }
}
