//! What pruning did, as text.

use std::fmt::Write as _;

/// What changed in one tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorReport {
    /// The name by which nodes use it.
    pub name: String,
    /// Its shape.
    pub dims: Vec<usize>,
    /// How many values it has.
    pub values: usize,
    /// Zeros before.
    pub before: usize,
    /// Zeros now.
    pub after: usize,
    /// Whether it is an operand of a convolution or matrix product.
    pub is_weight: bool,
}

/// What changed in the model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PruneReport {
    /// Every tensor that was considered.
    pub tensors: Vec<TensorReport>,
    /// Tensors that the pattern does not fit, and why.
    pub left: Vec<(String, String)>,
}

impl PruneReport {
    /// (values, zeros before, zeros now) of all tensors together.
    #[must_use]
    pub fn totals(&self) -> (usize, usize, usize) {
        let sum = |f: fn(&TensorReport) -> usize| self.tensors.iter().map(f).sum();
        (sum(|t| t.values), sum(|t| t.before), sum(|t| t.after))
    }

    /// Tensors that lost values although they are no weights: anchors and grids, whose loss moves boxes.
    pub fn suspicious(&self) -> impl Iterator<Item = &TensorReport> {
        let lost = |t: &&TensorReport| !t.is_weight && t.after > t.before;
        self.tensors.iter().filter(lost)
    }

    /// A table for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::from("  zeros   before     values  shape             tensor\n");
        // Writing to a String cannot fail.
        for t in &self.tensors {
            let share = |zeros: usize| percent(zeros, t.values);
            let (after, before) = (share(t.after), share(t.before));
            let shape = t.dims.iter().map(ToString::to_string);
            let shape = shape.collect::<Vec<_>>().join("x");
            let (values, name) = (t.values, &t.name);
            let left = self.left.iter().find(|(of, _)| of == name);
            let note = left.map_or(String::new(), |(_, reason)| format!("  (left: {reason})"));
            let _ = writeln!(
                out,
                "{after:>5.1} %  {before:>5.1} %  {values:>9}  {shape:<16}  {name}{note}"
            );
        }
        let (values, before, after) = self.totals();
        let (now, then) = (percent(after, values), percent(before, values));
        let count = self.tensors.len();
        let _ = writeln!(
            out,
            "{now:>5.1} %  {then:>5.1} %  {values:>9}  all {count} tensors: {after} zeros, {} of them new",
            after - before
        );
        out
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}
