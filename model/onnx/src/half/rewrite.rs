//! Carries the plan out: converts tensors and types, and adds a `Cast` where the two types meet.

use super::HalfReport;
use super::plan::Plan;
use crate::{Element, Graph, Node, OnnxError, Part, Tensor};
use std::collections::{HashMap, HashSet};

pub(super) fn rewrite(graph: &mut Graph, plan: &Plan) -> Result<HalfReport, OnnxError> {
    let mut rewriter = Rewriter {
        plan,
        taken: plan.names.clone(),
        copies: HashMap::new(),
        parts: Vec::with_capacity(graph.parts.len() + 16),
        report: HalfReport {
            nodes: plan.nodes.len(),
            left: plan.left,
            heavy_left: plan.heavy_left.clone(),
            ..HalfReport::default()
        },
    };
    let mut index = 0;
    for part in std::mem::take(&mut graph.parts) {
        match part {
            Part::Node(node) => {
                rewriter.node(index, node);
                index += 1;
            }
            other => rewriter.other(other)?,
        }
    }
    graph.parts = rewriter.parts;
    Ok(rewriter.report)
}

struct Rewriter<'a> {
    plan: &'a Plan,
    taken: HashSet<String>,
    /// Copies in the other type that exist already: (name, type) to the copy's name.
    copies: HashMap<(String, u64), String>,
    parts: Vec<Part>,
    report: HalfReport,
}

impl Rewriter<'_> {
    fn node(&mut self, index: usize, mut node: Node) {
        let types = self.plan.nodes.get(&index);
        for (k, name) in node.inputs().to_vec().into_iter().enumerate() {
            let wants_half = types.is_some_and(|(operands, _)| operands.has(k));
            let is_half = self.is_half(&name);
            if name.is_empty() || wants_half == is_half {
                continue;
            }
            let to = if wants_half {
                Element::F16
            } else {
                Element::F32
            };
            let copy = self.copy(&name, to);
            node.set_input(k, &copy);
        }
        let mut back = Vec::new();
        if let Some((_, results)) = types {
            for (k, name) in node.outputs().to_vec().into_iter().enumerate() {
                // An output of the graph keeps its name and type; the node makes a value beside it.
                if results.has(k) && self.plan.outputs.contains(&name) {
                    let made = self.free(&name, Element::F16);
                    node.set_output(k, &made);
                    let key = (name.clone(), Element::F16.number());
                    self.copies.insert(key, made.clone());
                    back.push(Node::cast(&made, &name, Element::F32));
                }
            }
        }
        self.report.casts += back.len();
        self.parts.push(Part::Node(node));
        self.parts.extend(back.into_iter().map(Part::Node));
    }

    fn other(&mut self, mut part: Part) -> Result<(), OnnxError> {
        match &mut part {
            Part::Initializer(tensor) => {
                let name = tensor.name().to_owned();
                self.tensor(&name, tensor)?;
            }
            Part::Constant(constant) => {
                let name = constant.output().to_owned();
                self.tensor(&name, &mut constant.tensor)?;
            }
            // Old exports declare their weights as inputs, too.
            Part::Input(info) | Part::Value(info) if self.is_half(info.name()) => {
                info.set_element(Element::F16)?;
            }
            _ => {}
        }
        self.parts.push(part);
        Ok(())
    }

    fn tensor(&mut self, name: &str, tensor: &mut Tensor) -> Result<(), OnnxError> {
        if self.plan.tensors.contains(name) {
            let clamped = tensor.make_half()?;
            self.report.tensors += 1;
            if clamped > 0 {
                self.report.clamped.push((name.to_owned(), clamped));
            }
        }
        Ok(())
    }

    /// Whether the value of that name is fp16 now.
    fn is_half(&self, name: &str) -> bool {
        let made = self.plan.values.contains(name) && !self.plan.outputs.contains(name);
        made || self.plan.tensors.contains(name)
    }

    /// The name of `name`'s copy in another type, which is added if there is none yet.
    fn copy(&mut self, name: &str, to: Element) -> String {
        let key = (name.to_owned(), to.number());
        if let Some(copy) = self.copies.get(&key) {
            return copy.clone();
        }
        let copy = self.free(name, to);
        self.parts.push(Part::Node(Node::cast(name, &copy, to)));
        self.report.casts += 1;
        self.copies.insert(key, copy.clone());
        copy
    }

    /// A name that is not in use.
    fn free(&mut self, name: &str, to: Element) -> String {
        let kind = if to == Element::F16 {
            "float16"
        } else {
            "float32"
        };
        let mut free = format!("{name}_{kind}");
        while !self.taken.insert(free.clone()) {
            free.push('_');
        }
        free
    }
}
