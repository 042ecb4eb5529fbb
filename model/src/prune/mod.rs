//! `hanja-model prune`: makes the smallest weights of an ONNX model 0.
//!
//! Nothing but those values changes in the file. Ties are broken by place, so that the number of zeros is exact and a
//! second run changes nothing.

mod pattern;
mod report;

pub use report::{PruneReport, TensorReport};

use hanja_onnx::{Model, OnnxError, Tensor, storage};
use pattern::Roles;

/// Which weights become 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// In every tensor this share of its values, rounded down.
    PerTensor(f64),
    /// This share of all values together, rounded down: small tensors lose more or less than others.
    Global(f64),
    /// Two of each four along the input channels, for sparse tensor cores.
    TwoOfFour,
}

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// The share is out of range.
    #[error("--amount {0}: must be a share from 0 to 1; 0.05 is 5 %")]
    Amount(f64),
    /// Nothing to prune.
    #[error("it has no {what}, so there is nothing to prune")]
    NoWeights {
        /// What is missing.
        what: &'static str,
    },
    /// The model.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
}

/// Sets weights of f32 and f16 tensors with two or more dimensions to 0, in place. `weights_only`: only operands of
/// convolutions and matrix products, not anchors or grids.
///
/// # Errors
/// [`PruneError::Amount`] if a share is not in 0..=1, [`PruneError::NoWeights`] if there is nothing to prune,
/// [`PruneError::Onnx`] if the model cannot be read.
pub fn prune(
    model: &mut Model,
    method: Method,
    weights_only: bool,
) -> Result<PruneReport, PruneError> {
    // Weights that are only stored in fp16 are operands of a Cast: they become operands of the convolution again.
    storage::widen(model)?;
    let roles = Roles::of(&model.graph)?;
    let names: Vec<String> = model
        .graph
        .tensors()
        .map(|(name, _)| name.to_owned())
        .collect();
    let is_weight: Vec<bool> = names.iter().map(|name| roles.is_weight(name)).collect();
    let mut candidates: Vec<(usize, &mut Tensor)> = model
        .graph
        .tensors_mut()
        .enumerate()
        .filter(|(_, tensor)| tensor.is_float() && tensor.dims().len() >= 2)
        .filter(|(i, _)| is_weight[*i] || !weights_only)
        .collect();
    let mut report = PruneReport::default();
    let chosen = choose(&candidates, method, &roles, &names, &mut report)?;
    for ((i, tensor), indices) in candidates.iter_mut().zip(&chosen) {
        let before = zeros(tensor)?;
        tensor.zero(indices)?;
        report.tensors.push(TensorReport {
            name: names[*i].clone(),
            dims: tensor.dims().to_vec(),
            values: tensor.dims().iter().product(),
            before,
            after: zeros(tensor)?,
            is_weight: is_weight[*i],
        });
    }
    if report.tensors.is_empty() {
        let what = "f32 or f16 weights of two or more dimensions";
        return Err(PruneError::NoWeights { what });
    }
    Ok(report)
}

/// The indices that become 0, for each of `candidates`.
fn choose(
    candidates: &[(usize, &mut Tensor)],
    method: Method,
    roles: &Roles,
    names: &[String],
    report: &mut PruneReport,
) -> Result<Vec<Vec<usize>>, PruneError> {
    let magnitudes = |tensor: &Tensor| -> Result<Vec<f32>, OnnxError> {
        Ok(tensor.values()?.into_iter().map(f32::abs).collect())
    };
    match method {
        Method::PerTensor(amount) => {
            check(amount)?;
            let of_tensor = |(_, tensor): &(usize, &mut Tensor)| {
                let all = magnitudes(tensor)?;
                Ok(smallest(&all, share(amount, all.len())))
            };
            candidates.iter().map(of_tensor).collect()
        }
        Method::Global(amount) => {
            check(amount)?;
            let (mut all, mut starts) = (Vec::new(), Vec::new());
            for (_, tensor) in candidates {
                starts.push(all.len());
                all.extend(magnitudes(tensor)?);
            }
            let mut chosen = vec![Vec::new(); candidates.len()];
            for index in smallest(&all, share(amount, all.len())) {
                let tensor = starts.partition_point(|start| *start <= index) - 1;
                chosen[tensor].push(index - starts[tensor]);
            }
            Ok(chosen)
        }
        Method::TwoOfFour => {
            let (mut chosen, mut eligible) = (Vec::new(), 0);
            for (i, tensor) in candidates {
                chosen.push(match roles.axis(&names[*i], tensor.dims()) {
                    Ok(axis) => {
                        eligible += 1;
                        pattern::two_of_four(&magnitudes(tensor)?, tensor.dims(), axis)
                    }
                    Err(reason) => {
                        report.left.push((names[*i].clone(), reason));
                        Vec::new()
                    }
                });
            }
            if eligible == 0 {
                let what = "weights that the pattern 2:4 fits";
                return Err(PruneError::NoWeights { what });
            }
            Ok(chosen)
        }
    }
}

fn check(amount: f64) -> Result<(), PruneError> {
    if (0.0..=1.0).contains(&amount) {
        Ok(())
    } else {
        Err(PruneError::Amount(amount))
    }
}

/// `amount` of `count`, rounded down; 0.29 of 100 is 29 although 0.29 is a little less than that in binary.
fn share(amount: f64, count: usize) -> usize {
    ((amount * count as f64 + 1e-6) as usize).min(count)
}

/// The indices of the `count` smallest, the first of equals; NaN is the largest.
fn smallest(magnitudes: &[f32], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..magnitudes.len()).collect();
    if count < order.len() {
        order.select_nth_unstable_by(count, |a, b| {
            magnitudes[*a].total_cmp(&magnitudes[*b]).then(a.cmp(b))
        });
        order.truncate(count);
    }
    order.sort_unstable();
    order
}

fn zeros(tensor: &Tensor) -> Result<usize, OnnxError> {
    Ok(tensor.values()?.iter().filter(|v| **v == 0.0).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_are_rounded_down() {
        for (amount, count, want) in [
            (0.05, 20, 1),
            (0.05, 19, 0),
            (0.29, 100, 29),
            (0.1, 30, 3),
            (0.0, 9, 0),
            (1.0, 9, 9),
        ] {
            assert_eq!(share(amount, count), want, "{amount} of {count}");
        }
    }

    #[test]
    fn the_first_of_equals_and_never_nan() {
        assert_eq!(smallest(&[1.0, 0.5, 1.0, 0.5, 0.5], 2), [1, 3]);
        assert_eq!(smallest(&[f32::NAN, f32::INFINITY, 3.0], 2), [1, 2]);
        assert_eq!(smallest(&[], 0), [0; 0]);
    }

    proptest! {
        #[test]
        fn agrees_with_sorting(values in prop::collection::vec(0u8..9, 0..200), share in 0.0..=1.0f64) {
            let magnitudes: Vec<f32> = values.iter().map(|v| f32::from(*v)).collect();
            let count = (share * values.len() as f64) as usize;
            let mut sorted: Vec<usize> = (0..values.len()).collect();
            sorted.sort_by_key(|i| values[*i]); // stable: the first of equals comes first
            sorted.truncate(count);
            sorted.sort_unstable();
            prop_assert_eq!(smallest(&magnitudes, count), sorted);
        }
    }
}
