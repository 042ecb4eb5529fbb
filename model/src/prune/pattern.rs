//! What the nodes of a graph use its tensors for, and the pattern 2:4.
//!
//! Sparse tensor cores (NVIDIA Ampere and later) skip half of a product's operand if among each four consecutive
//! values along the dimension that is summed over at least two are 0 (Mishra et al. 2021, "Accelerating Sparse Deep
//! Neural Networks", arXiv:2104.08378). TensorRT uses them for a convolution whose weights have, with the shape
//! K C R S, for each output channel k and each place r s of the kernel at least two zeros among each four input
//! channels, and C a multiple of 4 (TensorRT documentation, "Structured Sparsity"; `trtexec --sparsity=enable`). So:
//!
//! | operator | shape of the weights | axis |
//! |---|---|---|
//! | `Conv`, one group | K C … | 1, the input channels |
//! | `MatMul`, second operand | K N | 0 |
//! | `MatMul`, first operand | M K | 1 |
//! | `Gemm`, second operand | K N, or N K with `transB` | 0, or 1 |
//!
//! Everything else is left alone, with the reason in the report: grouped and transposed convolutions, which the sparse
//! kernels do not serve, and axes that are no multiple of 4, such as the three colours of the first layer.

use hanja_onnx::{Graph, Node, OnnxError};
use std::collections::HashMap;

/// A way to use a tensor.
#[derive(Clone, Debug, PartialEq)]
enum Role {
    /// Weights, summed over this axis.
    Summed(usize),
    /// Weights for which there is no sparse product.
    Dense(&'static str),
    /// Something else, an operand of this operator.
    Operand(String),
}

/// Tensors by name, with all their uses.
pub(super) struct Roles(HashMap<String, Vec<Role>>);

impl Roles {
    pub(super) fn of(graph: &Graph) -> Result<Self, OnnxError> {
        let mut roles: HashMap<String, Vec<Role>> = HashMap::new();
        for node in graph.nodes() {
            for (index, input) in node.inputs().iter().enumerate() {
                let role = role(node, index)?;
                roles.entry(input.clone()).or_default().push(role);
            }
        }
        Ok(Self(roles))
    }

    fn uses(&self, tensor: &str) -> &[Role] {
        self.0.get(tensor).map_or(&[], Vec::as_slice)
    }

    /// Whether a convolution or matrix product has it as an operand.
    pub(super) fn is_weight(&self, tensor: &str) -> bool {
        let other = |role: &Role| matches!(role, Role::Operand(_));
        !self.uses(tensor).iter().all(other)
    }

    /// The axis along which a tensor is to have the pattern, or why not.
    pub(super) fn axis(&self, tensor: &str, dims: &[usize]) -> Result<usize, String> {
        let uses = self.uses(tensor);
        let Some(first) = uses.first() else {
            return Err("no node uses it".into());
        };
        if uses.iter().any(|role| role != first) {
            return Err("several nodes use it differently".into());
        }
        let axis = match first {
            Role::Summed(axis) => *axis,
            Role::Dense(reason) => return Err((*reason).into()),
            Role::Operand(operator) => return Err(format!("an operand of {operator}, no weights")),
        };
        match dims.get(axis) {
            Some(length) if length % 4 == 0 => Ok(axis),
            Some(length) => Err(format!("{length} input channels are no multiple of 4")),
            None => Err(format!("it has no axis {axis}")),
        }
    }
}

fn role(node: &Node, index: usize) -> Result<Role, OnnxError> {
    let operator = node.standard_operator().unwrap_or("another domain");
    Ok(match (operator, index) {
        ("Conv", 1) if node.integer("group")?.unwrap_or(1) == 1 => Role::Summed(1),
        ("Conv", 1) => Role::Dense("a convolution in groups"),
        ("ConvTranspose", 1) => Role::Dense("a transposed convolution"),
        ("MatMul", 1) => Role::Summed(0),
        ("MatMul", 0) => Role::Summed(1),
        ("Gemm", 1) => Role::Summed(usize::from(node.integer("transB")?.unwrap_or(0) != 0)),
        ("Gemm", 0) => Role::Dense("the first operand of Gemm"),
        _ => Role::Operand(operator.to_owned()),
    })
}

/// Of each four values along `axis` the two smallest, the first of equals.
pub(super) fn two_of_four(magnitudes: &[f32], dims: &[usize], axis: usize) -> Vec<usize> {
    let mut chosen = Vec::new();
    if magnitudes.is_empty() {
        return chosen; // a dimension is 0, the others may be anything
    }
    let inner: usize = dims[axis + 1..].iter().product();
    // Whole groups of four lie next to each other in memory, `inner` of them interleaved.
    for (block, _) in magnitudes.chunks_exact(4 * inner).enumerate() {
        for offset in 0..inner {
            let place = |j: usize| 4 * block * inner + j * inner + offset;
            let mut group = [0, 1, 2, 3].map(place);
            group.sort_by(|a, b| magnitudes[*a].total_cmp(&magnitudes[*b]));
            chosen.extend(&group[..2]);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_group_by_hand() {
        // Two output channels, four input channels, one pixel.
        let values = [4.0, 1.0, 3.0, 2.0, 5.0, 5.0, 5.0, 5.0];
        assert_eq!(two_of_four(&values, &[2, 4, 1, 1], 1), [1, 3, 4, 5]);
        // Four rows, two columns, down the columns.
        let values = [1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0];
        assert_eq!(two_of_four(&values, &[4, 2], 0), [0, 2, 7, 5]);
    }

    proptest! {
        #[test]
        fn tensorrt_finds_what_it_looks_for(k in 1usize..4, c in 1usize..4, r in 1usize..4, s in 1usize..4, seed: u32) {
            let (dims, c) = ([k, 4 * c, r, s], 4 * c);
            let hash = |i: usize| (i as u32 ^ seed).wrapping_mul(2_654_435_761) >> 29;
            let mut values: Vec<f32> = (0..k * c * r * s).map(|i| hash(i) as f32 + 1.0).collect();
            for i in two_of_four(&values, &dims, 1) {
                values[i] = 0.0;
            }
            // The loop of TensorRT's documentation, with its own indices.
            for (k, r, s) in (0..k).flat_map(|k| (0..r).flat_map(move |r| (0..s).map(move |s| (k, r, s)))) {
                for packed in 0..c / 4 {
                    let at = |j: usize| values[((k * c + 4 * packed + j) * dims[2] + r) * dims[3] + s];
                    prop_assert_eq!((0..4).filter(|j| at(*j) != 0.0).count(), 2);
                }
            }
        }
    }
}
