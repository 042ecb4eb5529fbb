//! Strokes: what a hand leaves on paper, before any ink. A stroke is a dense polyline whose nodes
//! carry the pen's pressure; corners are simply places where the polyline turns sharply.

/// One point of a stroke.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Node {
    /// To the right, in the unit of the drawing (unit box or pixels).
    pub x: f32,
    /// Downwards, in the same unit.
    pub y: f32,
    /// Relative pen width here; 1.0 is the pen's own width, 0.0 is lifted.
    pub pressure: f32,
}

/// One movement of the pen from touching down to lifting.
#[derive(Clone, Debug, PartialEq)]
pub struct Stroke {
    /// The points in writing order; one point alone is a dot.
    pub nodes: Vec<Node>,
}

impl Stroke {
    /// A copy with every position sent through `map` (pressure stays).
    #[must_use]
    pub fn mapped(&self, mut map: impl FnMut(f32, f32) -> (f32, f32)) -> Self {
        let nodes = self.nodes.iter().map(|n| {
            let (x, y) = map(n.x, n.y);
            Node {
                x,
                y,
                pressure: n.pressure,
            }
        });
        Self {
            nodes: nodes.collect(),
        }
    }
}

/// The box around all nodes as `(left, top, right, bottom)`; `None` when there are no nodes.
/// It knows nothing of pen width: a label comes from [`crate::Mask::ink_bounds`] instead.
#[must_use]
pub fn bounds(strokes: &[Stroke]) -> Option<(f32, f32, f32, f32)> {
    let mut nodes = strokes.iter().flat_map(|s| &s.nodes);
    let first = nodes.next()?;
    let start = (first.x, first.y, first.x, first.y);
    Some(nodes.fold(start, |(l, t, r, b), n| {
        (l.min(n.x), t.min(n.y), r.max(n.x), b.max(n.y))
    }))
}

/// Scales strokes, keeping their proportions, so that the longer side of their box becomes `size`
/// and the box is centred in the square of that size at (`left`, `top`).
#[must_use]
pub fn fit(strokes: &[Stroke], left: f32, top: f32, size: f32) -> Vec<Stroke> {
    let Some((l, t, r, b)) = bounds(strokes) else {
        return Vec::new();
    };
    let scale = size / (r - l).max(b - t).max(1e-6);
    let (cx, cy) = ((l + r) / 2.0, (t + b) / 2.0);
    let (ox, oy) = (left + size / 2.0, top + size / 2.0);
    let place = |x: f32, y: f32| ((x - cx) * scale + ox, (y - cy) * scale + oy);
    strokes.iter().map(|s| s.mapped(place)).collect()
}

/// Makes a sparse polyline smooth: a Catmull-Rom curve through `points`, except where the line
/// turns by more than about 60 degrees, which is a corner of the character and stays sharp.
/// `steps` nodes are laid between neighbours; all have pressure 1.
#[must_use]
pub fn smooth_polyline(points: &[(f32, f32)], steps: usize) -> Stroke {
    let mut nodes = Vec::new();
    let mut start = 0;
    for i in 1..points.len() {
        let corner = i + 1 < points.len() && turns_sharply(points[i - 1], points[i], points[i + 1]);
        if corner || i + 1 == points.len() {
            curve(&points[start..=i], steps, &mut nodes);
            start = i;
        }
    }
    if let (true, Some(&(x, y))) = (nodes.is_empty(), points.first()) {
        nodes.push(Node {
            x,
            y,
            pressure: 1.0,
        });
    }
    Stroke { nodes }
}

fn turns_sharply(a: (f32, f32), b: (f32, f32), c: (f32, f32)) -> bool {
    let (ux, uy, vx, vy) = (b.0 - a.0, b.1 - a.1, c.0 - b.0, c.1 - b.1);
    let product = (ux.hypot(uy) * vx.hypot(vy)).max(1e-12);
    (ux * vx + uy * vy) / product < 0.5
}

/// Appends a Catmull-Rom curve through `p` to `out`, without doubling the joint.
pub(crate) fn curve(p: &[(f32, f32)], steps: usize, out: &mut Vec<Node>) {
    let Some(last) = p.len().checked_sub(1) else {
        return;
    };
    let steps = steps.max(1);
    for i in 0..last {
        let (p0, p1) = (p[i.saturating_sub(1)], p[i]);
        let (p2, p3) = (p[i + 1], p[(i + 2).min(last)]);
        let first = usize::from(!out.is_empty());
        for s in first..=steps {
            let t = s as f32 / steps as f32;
            let x = catmull_rom(p0.0, p1.0, p2.0, p3.0, t);
            let y = catmull_rom(p0.1, p1.1, p2.1, p3.1, t);
            out.push(Node {
                x,
                y,
                pressure: 1.0,
            });
        }
    }
}

fn catmull_rom(a: f32, b: f32, c: f32, d: f32, t: f32) -> f32 {
    let (t2, t3) = (t * t, t * t * t);
    0.5 * (2.0 * b
        + (c - a) * t
        + (2.0 * a - 5.0 * b + 4.0 * c - d) * t2
        + (3.0 * b - a - 3.0 * c + d) * t3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fit_centres_and_keeps_proportions() {
        let wide = vec![smooth_polyline(&[(0.0, 0.0), (4.0, 2.0)], 4)];
        let placed = fit(&wide, 10.0, 20.0, 40.0);
        assert_eq!(bounds(&placed), Some((10.0, 30.0, 50.0, 50.0)));
    }

    #[test]
    fn smoothing_keeps_the_given_points_and_the_corners() {
        let corner = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)];
        let stroke = smooth_polyline(&corner, 5);
        for (x, y) in corner {
            let hit = |n: &&Node| (n.x - x).abs() < 1e-5 && (n.y - y).abs() < 1e-5;
            assert!(
                stroke.nodes.iter().any(|n| hit(&n)),
                "({x}, {y}) is not on the curve"
            );
        }
        // A sharp turn must not be rounded outwards.
        assert!(stroke.nodes.iter().all(|n| n.x < 1.0001 && n.y > -0.0001));
    }

    #[test]
    fn degenerate_polylines_are_dots_or_nothing() {
        assert_eq!(smooth_polyline(&[], 4).nodes.len(), 0);
        assert_eq!(smooth_polyline(&[(0.3, 0.4)], 4).nodes.len(), 1);
        assert_eq!(bounds(&[]), None);
        assert!(fit(&[], 0.0, 0.0, 10.0).is_empty());
    }
}
