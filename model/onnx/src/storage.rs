//! Stores weights in fp16: the file is half as large, and every runtime computes in f32 as before, because each weight
//! passes through a `Cast` that runtimes fold when they load the model.
//!
//! [`widen`] undoes this exactly: before version 8.5, TensorRT's parser accepts only constants of the file as weights of a
//! convolution, not results of a node.

use crate::{Element, Graph, Model, Node, OnnxError, Part};
use std::collections::{HashMap, HashSet};

/// Least number of values of a tensor that is stored in fp16: with fewer, the additional node costs more than it saves.
const MIN_VALUES: usize = 256;
/// Suffix of the stored tensor's name.
const STORED: &str = "_stored";

/// What [`narrow`] changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageReport {
    /// Number of tensors that are stored in fp16 now.
    pub tensors: usize,
    /// Names of the tensors that stay f32 because fp16 cannot hold their values.
    pub too_large: Vec<String>,
}

/// Stores the f32 weights of at least 256 values in fp16, rounded to the nearest. Computation stays f32.
///
/// # Errors
/// None after a successful parse.
pub fn narrow(model: &mut Model) -> Result<StorageReport, OnnxError> {
    let mut taken = names(&model.graph);
    // Old exports declare their weights as inputs, too, with a type: those stay.
    let declared: HashSet<String> = model.graph.parts.iter().filter_map(declared).collect();
    let mut report = StorageReport::default();
    let mut casts = Vec::new();
    for part in &mut model.graph.parts {
        let Part::Initializer(tensor) = part else {
            continue;
        };
        let name = tensor.name().to_owned();
        let values: usize = tensor.dims().iter().product();
        if tensor.element() != Element::F32 || values < MIN_VALUES || declared.contains(&name) {
            continue;
        }
        let mut stored = tensor.clone();
        if stored.make_half()? > 0 {
            report.too_large.push(name);
            continue;
        }
        let mut own = format!("{name}{STORED}");
        while !taken.insert(own.clone()) {
            own.push('_');
        }
        stored.set_name(&own);
        *tensor = stored;
        casts.push(Part::Node(Node::cast(&own, &name, Element::F32)));
        report.tensors += 1;
    }
    // Before every node that may use them.
    model.graph.parts.splice(0..0, casts);
    Ok(report)
}

/// Converts fp16 tensors that only a `Cast` to f32 uses to f32, and removes the `Cast`. Returns how many there were. A
/// model with control flow stays as it is, because this does not know what its inner graphs use.
///
/// # Errors
/// [`OnnxError::Damaged`] if an attribute cannot be read.
pub fn widen(model: &mut Model) -> Result<usize, OnnxError> {
    let graph = &mut model.graph;
    let mut uses: HashMap<&str, usize> = HashMap::new();
    let mut wide: HashMap<String, String> = HashMap::new();
    for node in graph.nodes() {
        if node.has_subgraph()? {
            return Ok(0);
        }
        for input in node.inputs() {
            *uses.entry(input).or_default() += 1;
        }
        let to = node.integer("to")?;
        if node.standard_operator() == Some("Cast")
            && to == Some(Element::F32.number())
            && let ([input], [output]) = (node.inputs(), node.outputs())
        {
            wide.insert(input.clone(), output.clone());
        }
    }
    let declared: HashSet<String> = graph.parts.iter().filter_map(declared).collect();
    wide.retain(|stored, output| {
        uses.get(stored.as_str()) == Some(&1)
            && !declared.contains(stored)
            && !declared.contains(output)
    });
    let mut folded = HashSet::new();
    for part in &mut graph.parts {
        if let Part::Initializer(tensor) = part
            && tensor.element() == Element::F16
            && let Some(output) = wide.get(tensor.name())
        {
            tensor.make_full()?;
            tensor.set_name(output);
            folded.insert(output.clone());
        }
    }
    graph.parts.retain(|part| match part {
        Part::Node(node) => {
            !(node.standard_operator() == Some("Cast")
                && node.outputs().iter().any(|o| folded.contains(o)))
        }
        _ => true,
    });
    Ok(folded.len())
}

/// The name that an input or output of the graph declares.
fn declared(part: &Part) -> Option<String> {
    match part {
        Part::Input(info) | Part::Output(info) => Some(info.name().to_owned()),
        _ => None,
    }
}

fn names(graph: &Graph) -> HashSet<String> {
    let of_nodes = graph
        .nodes()
        .flat_map(|n| n.inputs().iter().chain(n.outputs()));
    let mut names: HashSet<String> = of_nodes.cloned().collect();
    names.extend(graph.tensors().map(|(name, _)| name.to_owned()));
    names
}
