//! Decides what becomes fp16: which nodes, which of the values between them, which tensors.

use super::operators::{Floats, half, heavy, keeps_type};
use crate::{Element, Graph, Node, OnnxError, Part};
use std::collections::{HashMap, HashSet};

/// The decision. Nodes are counted without constants.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Nodes that compute in fp16, with their operands and results of that type.
    pub(super) nodes: HashMap<usize, (Floats, Floats)>,
    /// Results of these nodes.
    pub(super) values: HashSet<String>,
    /// Tensors that become fp16: only these nodes use them.
    pub(super) tensors: HashSet<String>,
    /// Outputs of the graph: stay f32.
    pub(super) outputs: HashSet<String>,
    /// Every name in the graph.
    pub(super) names: HashSet<String>,
    /// Nodes with f32 operands or results that stay f32.
    pub(super) left: usize,
    /// Convolutions and matrix products among them, by name.
    pub(super) heavy_left: Vec<String>,
}

impl Plan {
    pub(super) fn of(graph: &Graph) -> Result<Self, OnnxError> {
        let nodes: Vec<&Node> = graph.nodes().collect();
        let floats = f32_values(graph, &nodes)?;
        let leading = leading_to_products(&nodes);
        let mut plan = Self::default();
        for (i, node) in nodes.iter().enumerate() {
            let operator = node.standard_operator().unwrap_or_default();
            match half(operator) {
                Some(types) if leading[i] && all_known(node, types.0, &floats) => {
                    let made = node.outputs().iter().enumerate();
                    let made = made.filter(|(k, name)| types.1.has(*k) && !name.is_empty());
                    plan.values.extend(made.map(|(_, name)| name.clone()));
                    plan.nodes.insert(i, types);
                }
                _ => {
                    let touches = |name: &String| floats.contains(name);
                    if node.inputs().iter().chain(node.outputs()).any(touches) {
                        plan.left += 1;
                    }
                    if heavy(operator) {
                        plan.heavy_left.push(node.title());
                    }
                }
            }
            plan.names.extend(node.inputs().iter().cloned());
            plan.names.extend(node.outputs().iter().cloned());
        }
        for part in &graph.parts {
            if let Part::Input(info) | Part::Output(info) | Part::Value(info) = part {
                plan.names.insert(info.name().to_owned());
            }
            if let Part::Output(info) = part {
                plan.outputs.insert(info.name().to_owned());
            }
        }
        plan.choose_tensors(graph, &nodes);
        Ok(plan)
    }

    fn choose_tensors(&mut self, graph: &Graph, nodes: &[&Node]) {
        let (mut by_half, mut by_others) = (HashSet::new(), HashSet::new());
        for (i, node) in nodes.iter().enumerate() {
            let types = self.nodes.get(&i);
            for (k, input) in node.inputs().iter().enumerate() {
                let as_half = types.is_some_and(|(operands, _)| operands.has(k));
                let users = if as_half {
                    &mut by_half
                } else {
                    &mut by_others
                };
                users.insert(input.as_str());
            }
        }
        for (name, tensor) in graph.tensors() {
            self.names.insert(name.to_owned());
            let only_half = by_half.contains(name) && !by_others.contains(name);
            if tensor.element() == Element::F32 && only_half && !self.outputs.contains(name) {
                self.tensors.insert(name.to_owned());
            }
        }
    }
}

/// Whether all these operands are known to be f32, and there is at least one.
fn all_known(node: &Node, operands: Floats, floats: &HashSet<String>) -> bool {
    let given = node.inputs().iter().enumerate();
    let mut given = given
        .filter(|(k, name)| operands.has(*k) && !name.is_empty())
        .peekable();
    given.peek().is_some() && given.all(|(_, name)| floats.contains(name))
}

/// The values that are known to be f32: those that are declared so, and those that follow from the nodes. A value that is
/// missed stays as it is, and so do the nodes that use it; nothing counts as f32 that is not.
fn f32_values(graph: &Graph, nodes: &[&Node]) -> Result<HashSet<String>, OnnxError> {
    let mut floats = HashSet::new();
    for part in &graph.parts {
        if let Part::Input(info) | Part::Output(info) | Part::Value(info) = part
            && info.element()? == Some(Element::F32)
        {
            floats.insert(info.name().to_owned());
        }
    }
    for (name, tensor) in graph.tensors() {
        if tensor.element() == Element::F32 {
            floats.insert(name.to_owned());
        }
    }
    for node in nodes {
        let operator = node.standard_operator().unwrap_or_default();
        let results = match half(operator) {
            Some((operands, results)) if all_known(node, operands, &floats) => Some(results),
            None if operator == "Cast" => {
                let to = node.integer("to")?;
                (to == Some(Element::F32.number())).then_some(Floats::All)
            }
            None if keeps_type(operator) => {
                all_known(node, Floats::First, &floats).then_some(Floats::First)
            }
            _ => None,
        };
        if let Some(results) = results {
            let made = node.outputs().iter().enumerate();
            floats.extend(
                made.filter(|(k, _)| results.has(*k))
                    .map(|(_, n)| n.clone()),
            );
        }
    }
    Ok(floats)
}

/// For each node: whether it is a convolution or matrix product, or leads to one.
fn leading_to_products(nodes: &[&Node]) -> Vec<bool> {
    let mut wanted: HashSet<&str> = HashSet::new();
    let mut leading = vec![false; nodes.len()];
    // Nodes are listed in the order in which they run, so one pass from the end is enough.
    for (i, node) in nodes.iter().enumerate().rev() {
        let is_heavy = heavy(node.standard_operator().unwrap_or_default());
        leading[i] = is_heavy || node.outputs().iter().any(|o| wanted.contains(o.as_str()));
        if leading[i] {
            wanted.extend(
                node.inputs()
                    .iter()
                    .filter(|n| !n.is_empty())
                    .map(String::as_str),
            );
        }
    }
    leading
}
