//! Thinning: turns a written shape (a bitmap of ink) into the pen's path, so that real handwriting
//! can be written again with any pen and at any size.
//!
//! Zhang-Suen thinning on the bitmap enlarged twice, then chains of skeleton pixels between ends
//! and junctions, smoothed; the local thickness becomes the pressure.

use hanja_handwriting::{Node, Stroke};
use std::collections::{BTreeMap, BTreeSet};

/// The path found in a bitmap, in bitmap pixels, and the mean stroke thickness there.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(crate) strokes: Vec<Stroke>,
    pub(crate) thickness: f32,
}

impl Path {
    /// Whether nearly all ink of the field (rows of `width`) lies along the path.
    pub(crate) fn covers(&self, field: &[u8], width: usize) -> bool {
        let reach = self.thickness + 1.5;
        let near = |x: f32, y: f32| {
            let hit = |n: &Node| (n.x - x).hypot(n.y - y) < reach;
            self.strokes.iter().flat_map(|s| &s.nodes).any(hit)
        };
        let (mut ink, mut lost) = (0u32, 0u32);
        for (i, _) in field.iter().enumerate().filter(|(_, v)| **v > 128) {
            ink += 1;
            let (x, y) = ((i % width) as f32 + 0.5, (i / width) as f32 + 0.5);
            lost += u32::from(!near(x, y));
        }
        lost * 30 <= ink
    }
}

/// Thins `field` (ink 0..=255, `width` x `height`); `None` when nothing is inked.
pub(crate) fn thin(field: &[u8], width: usize, height: usize) -> Option<Path> {
    let grid = Grid::enlarged(field, width, height);
    let depth = grid.depth();
    let skeleton = grid.skeleton();
    let nodes = skeleton.cells.iter().zip(&depth).filter(|(on, _)| **on);
    let (sum, count) = nodes.fold((0.0, 0), |(s, n), (_, d)| (s + d, n + 1));
    if count == 0 {
        return None;
    }
    let mean = (sum / count as f32).max(0.5);
    let strokes = chains(&skeleton, &depth, mean);
    // The grid is twice as fine as the bitmap, and depth is half a thickness.
    (!strokes.is_empty()).then_some(Path {
        strokes,
        thickness: mean,
    })
}

/// A binary picture with an empty border of two cells, at twice the bitmap's resolution.
struct Grid {
    width: usize,
    height: usize,
    cells: Vec<bool>,
}

const BORDER: usize = 2;

impl Grid {
    fn enlarged(field: &[u8], width: usize, height: usize) -> Self {
        let (gw, gh) = (2 * width + 2 * BORDER, 2 * height + 2 * BORDER);
        let mut cells = vec![false; gw * gh];
        let at = |x: isize, y: isize| {
            let x = x.clamp(0, width as isize - 1) as usize;
            let y = y.clamp(0, height as isize - 1) as usize;
            f32::from(field[y * width + x])
        };
        for y in 0..2 * height {
            for x in 0..2 * width {
                // Bilinear at a quarter of a pixel: weights 9, 3, 3, 1.
                let (bx, by) = (x as isize / 2, y as isize / 2);
                let (nx, ny) = (
                    bx + if x % 2 == 0 { -1 } else { 1 },
                    by + if y % 2 == 0 { -1 } else { 1 },
                );
                let v = 9.0 * at(bx, by) + 3.0 * (at(nx, by) + at(bx, ny)) + at(nx, ny);
                cells[(y + BORDER) * gw + x + BORDER] = v / 16.0 > 100.0;
            }
        }
        Self {
            width: gw,
            height: gh,
            cells,
        }
    }

    /// Distance of every inked cell to the nearest empty one (chamfer 1, 1.4), in cells.
    fn depth(&self) -> Vec<f32> {
        let w = self.width;
        let mut d: Vec<f32> = self
            .cells
            .iter()
            .map(|c| if *c { 1e6 } else { 0.0 })
            .collect();
        for y in 1..self.height - 1 {
            for x in 1..w - 1 {
                let i = y * w + x;
                let near = (d[i - 1] + 1.0).min(d[i - w] + 1.0);
                let far = (d[i - w - 1] + 1.4).min(d[i - w + 1] + 1.4);
                d[i] = d[i].min(near).min(far);
            }
        }
        for y in (1..self.height - 1).rev() {
            for x in (1..w - 1).rev() {
                let i = y * w + x;
                let near = (d[i + 1] + 1.0).min(d[i + w] + 1.0);
                let far = (d[i + w + 1] + 1.4).min(d[i + w - 1] + 1.4);
                d[i] = d[i].min(near).min(far);
            }
        }
        d
    }

    /// The eight neighbours, clockwise from the top.
    fn around(&self, i: usize) -> [usize; 8] {
        let w = self.width;
        [
            i - w,
            i - w + 1,
            i + 1,
            i + w + 1,
            i + w,
            i + w - 1,
            i - 1,
            i - w - 1,
        ]
    }

    /// Neighbours on the skeleton; a diagonal counts only where no straight step does the same.
    fn linked(&self, i: usize) -> Vec<usize> {
        let around = self.around(i);
        let on = |k: usize| self.cells[around[k % 8]];
        let link = |k: &usize| on(*k) && (k.is_multiple_of(2) || !(on(k + 1) || on(k + 7)));
        (0..8).filter(link).map(|k| around[k]).collect()
    }

    fn skeleton(&self) -> Self {
        let mut cells = self.cells.clone();
        let mut inked: Vec<usize> = (0..cells.len()).filter(|i| cells[*i]).collect();
        loop {
            let mut changed = false;
            for phase in 0..2 {
                let removable: Vec<usize> = inked
                    .iter()
                    .copied()
                    .filter(|&i| can_go(self.around(i).map(|n| cells[n]), phase))
                    .collect();
                changed |= !removable.is_empty();
                for i in removable {
                    cells[i] = false;
                }
                inked.retain(|i| cells[*i]);
            }
            if !changed {
                return Self {
                    width: self.width,
                    height: self.height,
                    cells,
                };
            }
        }
    }
}

/// Zhang and Suen's conditions for taking a cell away in half-step `phase`.
fn can_go(n: [bool; 8], phase: usize) -> bool {
    let count = n.iter().filter(|v| **v).count();
    let rises = (0..8).filter(|&k| !n[k] && n[(k + 1) % 8]).count();
    let [top, _, right, _, low, _, left, _] = n;
    let sides = if phase == 0 {
        !(right && low && (top || left))
    } else {
        !(top && left && (right || low))
    };
    (2..=6).contains(&count) && rises == 1 && sides
}

/// Follows the skeleton from end or junction to end or junction.
fn chains(skeleton: &Grid, depth: &[f32], mean: f32) -> Vec<Stroke> {
    let on: Vec<usize> = (0..skeleton.cells.len())
        .filter(|i| skeleton.cells[*i])
        .collect();
    let links: BTreeMap<usize, Vec<usize>> = on.iter().map(|&i| (i, skeleton.linked(i))).collect();
    let degree = |i: usize| links.get(&i).map_or(0, Vec::len);
    let mut walked = BTreeSet::new();
    let mut found: Vec<Vec<usize>> = on
        .iter()
        .filter(|i| degree(**i) == 0)
        .map(|i| vec![*i])
        .collect();
    // Ends and junctions first; what is left then are closed loops.
    let (joints, others): (Vec<usize>, Vec<usize>) = on.iter().partition(|i| degree(**i) != 2);
    for start in joints.into_iter().chain(others) {
        for &next in links.get(&start).into_iter().flatten() {
            if walked.contains(&(start, next)) {
                continue;
            }
            let chain = follow(start, next, &links, &mut walked);
            let ends = [start, chain[chain.len() - 1]].map(degree);
            // A short stub at a junction is an artefact of thinning, not ink.
            let stub = ends.contains(&1) && ends.iter().any(|d| *d > 2);
            if !(stub && (chain.len() as f32) < 1.6 * mean) {
                found.push(chain);
            }
        }
    }
    found
        .iter()
        .map(|chain| stroke(chain, skeleton.width, depth, mean))
        .collect()
}

/// The cells from `start` by way of `next` to the next end or junction, or round to `start`.
fn follow(
    start: usize,
    next: usize,
    links: &BTreeMap<usize, Vec<usize>>,
    walked: &mut BTreeSet<(usize, usize)>,
) -> Vec<usize> {
    let (mut chain, mut previous, mut here) = (vec![start], start, next);
    loop {
        walked.extend([(previous, here), (here, previous)]);
        chain.push(here);
        let options = links.get(&here).map_or(&[][..], Vec::as_slice);
        let onward = options.iter().copied().find(|o| *o != previous);
        match onward {
            Some(onward) if options.len() == 2 && here != start => {
                (previous, here) = (here, onward);
            }
            _ => return chain,
        }
    }
}

fn stroke(chain: &[usize], width: usize, depth: &[f32], mean: f32) -> Stroke {
    let to_bitmap = |v: usize| (v as f32 + 0.5 - BORDER as f32) / 2.0;
    let mut nodes: Vec<Node> = chain
        .iter()
        .map(|&i| Node {
            x: to_bitmap(i % width),
            y: to_bitmap(i / width),
            pressure: (depth[i] / mean).clamp(0.5, 1.6),
        })
        .collect();
    for _ in 0..4 {
        let old = nodes.clone();
        for i in 1..nodes.len().saturating_sub(1) {
            let (a, b, c) = (old[i - 1], old[i], old[i + 1]);
            nodes[i].x = (a.x + 2.0 * b.x + c.x) / 4.0;
            nodes[i].y = (a.y + 2.0 * b.y + c.y) / 4.0;
            nodes[i].pressure = (a.pressure + 2.0 * b.pressure + c.pressure) / 4.0;
        }
    }
    // Every second node is enough after smoothing.
    let last = nodes.len() - 1;
    let kept = nodes
        .iter()
        .enumerate()
        .filter(|(i, _)| i % 2 == 0 || *i == last);
    Stroke {
        nodes: kept.map(|(_, n)| *n).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hanja_handwriting::{Pen, fit, numeral, rasterize};
    use rand_pcg::{Pcg64Mcg, rand_core::SeedableRng};

    #[test]
    fn a_bar_thins_to_its_middle_line() {
        let mut field = vec![0u8; 40 * 20];
        for y in 8..12 {
            field[y * 40 + 5..y * 40 + 35].fill(255);
        }
        let path = thin(&field, 40, 20).unwrap();
        assert_eq!(path.strokes.len(), 1);
        assert!(
            path.strokes[0]
                .nodes
                .iter()
                .all(|n| (n.y - 10.0).abs() < 1.0)
        );
        assert!(
            (3.0..5.5).contains(&path.thickness),
            "thickness {}",
            path.thickness
        );
    }

    #[test]
    fn writing_it_again_gives_the_same_shape() {
        for class in 0..10 {
            let mut rng = Pcg64Mcg::seed_from_u64(class as u64 + 1);
            let pen = Pen {
                width: 5.0,
                taper: 0.0,
                contrast: 0.0,
                roughness: 0.0,
                breaks: 0.0,
            };
            let written = fit(
                &numeral(class, hanja_handwriting::Style::Regular, &mut rng),
                8.0,
                8.0,
                48.0,
            );
            let first = rasterize(&written, &pen, 64, 64, &mut rng);
            let path = thin(first.data(), 64, 64).unwrap();
            let pen = Pen {
                width: path.thickness,
                contrast: 1.0,
                ..pen
            };
            let second = rasterize(&path.strokes, &pen, 64, 64, &mut rng);
            let (mut both, mut either) = (0u32, 0u32);
            for (a, b) in first.data().iter().zip(second.data()) {
                both += u32::from(*a > 127 && *b > 127);
                either += u32::from(*a > 127 || *b > 127);
            }
            assert!(
                both * 100 > either * 70,
                "class {class}: {both} of {either}"
            );
        }
    }

    #[test]
    fn an_empty_bitmap_has_no_path() {
        assert!(thin(&[0; 64], 8, 8).is_none());
    }
}
