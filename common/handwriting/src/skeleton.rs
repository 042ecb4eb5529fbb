//! The shapes of the ten numerals: hand-written control points in the unit box (y down), with the
//! variants people use. Written for this project; not derived from any stroke data base.
//!
//! A draft stroke is a list of smooth pieces that meet at corners.

use crate::numeral::Style;
use rand::{Rng, RngExt};

/// Control point in the unit box.
pub(crate) type Point = (f32, f32);

/// One stroke before smoothing: consecutive pieces share a corner.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) pieces: Vec<Vec<Point>>,
}

fn d(pieces: &[&[Point]]) -> Draft {
    Draft {
        pieces: pieces.iter().map(|p| p.to_vec()).collect(),
    }
}

fn line(a: Point, b: Point) -> Draft {
    // A pulled line is never quite straight: a mid point that the jitter can move.
    d(&[&[a, ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0), b]])
}

/// The drafts of `class` (0..=9) in one of its usual forms.
pub(crate) fn drafts(class: usize, style: Style, rng: &mut impl Rng) -> Vec<Draft> {
    if style == Style::Unusual {
        return unusual(class, rng).unwrap_or_else(|| drafts(class, Style::SemiCursive, rng));
    }
    match class {
        0 => vec![one(rng)],
        1 => two(rng),
        2 => three(rng),
        3 => four(style, rng),
        4 => five(style, rng),
        5 => six(style, rng),
        6 => vec![seven_bar(rng), seven_stem(rng)],
        7 => eight(rng),
        8 => nine(rng),
        _ => ten(rng),
    }
}

fn one(rng: &mut impl Rng) -> Draft {
    let rise = rng.random_range(-0.02..0.08);
    d(&[&[
        (0.04, 0.5 + rise),
        (0.5, 0.49 - rise * 0.2),
        (0.96, 0.5 - rise),
    ]])
}

fn two(rng: &mut impl Rng) -> Vec<Draft> {
    let inset = rng.random_range(0.05..0.3);
    let gap = rng.random_range(0.18..0.36);
    let rise = rng.random_range(-0.01..0.06);
    vec![
        line((inset, 0.5 - gap + rise), (1.0 - inset, 0.5 - gap - rise)),
        line(
            (0.03, 0.5 + gap + rise * 0.5),
            (0.97, 0.5 + gap - rise * 0.5),
        ),
    ]
}

fn three(rng: &mut impl Rng) -> Vec<Draft> {
    let (top, middle) = (rng.random_range(0.02..0.22), rng.random_range(0.08..0.3));
    let gap = rng.random_range(0.24..0.4);
    let rise = rng.random_range(-0.01..0.05);
    vec![
        line((top, 0.5 - gap + rise), (1.0 - top, 0.5 - gap - rise)),
        line((middle, 0.5 + rise), (1.0 - middle, 0.5 - rise)),
        line(
            (0.03, 0.5 + gap + rise * 0.5),
            (0.97, 0.5 + gap - rise * 0.5),
        ),
    ]
}

fn four(style: Style, rng: &mut impl Rng) -> Vec<Draft> {
    let taper = rng.random_range(0.0..0.09);
    let (l, r, t, b) = (
        0.08,
        0.92,
        rng.random_range(0.1..0.22),
        rng.random_range(0.78..0.9),
    );
    let overhang = rng.random_range(0.0..0.07);
    let left = line((l, t - 0.02), (l + taper, b + overhang));
    let corner = rng.random_range(0.0..0.04);
    let roof = d(&[
        &[(l, t), (0.5, t - 0.01), (r, t - corner)],
        &[
            (r, t - corner),
            (r - taper * 0.5, 0.5),
            (r - taper, b + overhang),
        ],
    ]);
    let foot = rng.random_range(0.5..0.72);
    let in_leg = match rng.random_range(0..3) {
        0 => line((0.38, t + 0.02), (0.36, foot)),
        1 => d(&[&[(0.39, t + 0.02), (0.36, 0.45), (0.22, foot)]]),
        _ => d(&[&[(0.4, t + 0.08), (0.34, 0.44), (0.25, foot - 0.06)]]),
    };
    let out_leg = match rng.random_range(0..3) {
        0 => line((0.62, t + 0.02), (0.63, foot)),
        1 => d(&[&[
            (0.61, t + 0.02),
            (0.61, 0.42),
            (0.66, foot - 0.06),
            (0.82, foot - 0.06),
        ]]),
        _ => d(&[
            &[(0.6, t + 0.02), (0.6, foot - 0.04)],
            &[(0.6, foot - 0.04), (0.8, foot - 0.08)],
        ]),
    };
    let base = line((l + taper * 0.6, b - 0.02), (r - taper * 0.6, b - 0.03));
    if style == Style::SemiCursive && rng.random_bool(0.4) {
        // The box in one go, with rounded corners.
        let whole = d(&[
            &[(l, t), (l + taper, b)],
            &[
                (l, t),
                (0.5, t - 0.02),
                (r - 0.04, t),
                (r, t + 0.08),
                (r - taper, b - 0.06),
            ],
            &[(r - taper, b - 0.06), (0.7, b), (l + taper, b)],
        ]);
        return vec![whole, in_leg, out_leg];
    }
    vec![left, roof, in_leg, out_leg, base]
}

fn five(style: Style, rng: &mut impl Rng) -> Vec<Draft> {
    let inset = rng.random_range(0.08..0.26);
    let mid = rng.random_range(0.42..0.52);
    let lean = rng.random_range(0.02..0.14);
    let turn = rng.random_range(0.64..0.78);
    let top = line((inset, 0.1), (1.0 - inset, 0.07));
    let base = line((0.02, 0.9), (0.98, 0.88));
    if style == Style::SemiCursive && rng.random_bool(0.45) {
        // Stem and turn without lifting, as in quick writing.
        let joined = d(&[
            &[(0.48, 0.1), (0.44, 0.3), (0.48 - lean, mid + 0.02)],
            &[
                (0.48 - lean, mid + 0.02),
                (turn - 0.1, mid - 0.04),
                (turn, mid + 0.04),
                (turn - 0.02, 0.68),
                (turn - 0.1, 0.88),
            ],
        ]);
        return vec![top, joined, base];
    }
    let stem = d(&[&[(0.48, 0.09), (0.46 - lean * 0.4, 0.5), (0.44 - lean, 0.88)]]);
    let shoulder = d(&[
        &[(inset + 0.02, mid), (0.45, mid - 0.01), (turn, mid - 0.03)],
        &[(turn, mid - 0.03), (turn - 0.01, 0.68), (turn - 0.04, 0.88)],
    ]);
    vec![top, stem, shoulder, base]
}

fn six(style: Style, rng: &mut impl Rng) -> Vec<Draft> {
    let bar = rng.random_range(0.32..0.44);
    let touch = rng.random_range(0.0..0.1);
    let dot = match rng.random_range(0..3) {
        0 => d(&[&[(0.44, 0.03), (0.52, 0.1), (0.55, bar - 0.08 - touch)]]),
        1 => line((0.5, 0.02), (0.5, bar - touch * 0.6)),
        _ => line((0.54, 0.03), (0.48, bar - 0.06 - touch)),
    };
    let rise = rng.random_range(0.0..0.05);
    let across = line((0.03, bar + rise), (0.97, bar - rise));
    let (in_x, out_x) = (rng.random_range(0.3..0.42), rng.random_range(0.56..0.68));
    let top = bar + rng.random_range(0.06..0.18);
    let in_leg = d(&[&[(in_x, top), (in_x - 0.08, 0.72), (0.1, 0.97)]]);
    let out_leg = d(&[&[(out_x, top), (out_x + 0.1, 0.72), (0.9, 0.95)]]);
    if style == Style::SemiCursive && rng.random_bool(0.3) {
        let flowing = d(&[
            &[(in_x, top), (in_x - 0.08, 0.72), (0.14, 0.94)],
            &[(0.14, 0.94), (0.45, top + 0.12), (out_x, top + 0.02)],
            &[(out_x, top + 0.02), (out_x + 0.12, 0.75), (0.88, 0.95)],
        ]);
        return vec![dot, across, flowing];
    }
    vec![dot, across, in_leg, out_leg]
}

/// The form of `class` that a few hands use and nobody teaches; `None` where there is no such form.
fn unusual(class: usize, rng: &mut impl Rng) -> Option<Vec<Draft>> {
    let near = &mut |v: f32| v + rng.random_range(-0.04..0.04f32);
    Some(match class {
        1 => hooked_two(near),
        2 => broken_three(near),
        3 => diagonal_four(near),
        4 => joined_five(near),
        5 => spread_six(near),
        6 => looped_seven(near),
        8 => wide_nine(near),
        _ => return None,
    })
}

/// 二 whose upper stroke turns back towards the lower one.
fn hooked_two(near: &mut impl FnMut(f32) -> f32) -> Vec<Draft> {
    vec![
        d(&[
            &[(near(0.2), near(0.26)), (0.5, 0.24), (0.8, 0.22)],
            &[
                (0.8, 0.22),
                (near(0.74), near(0.36)),
                (near(0.56), near(0.5)),
            ],
        ]),
        line((0.03, near(0.76)), (0.97, near(0.74))),
    ]
}

/// 三 with the middle stroke in two parts.
fn broken_three(near: &mut impl FnMut(f32) -> f32) -> Vec<Draft> {
    let (gap, y) = (near(0.5), near(0.5));
    let lower = line((0.03, near(0.84)), (0.97, near(0.82)));
    vec![
        line((near(0.14), near(0.17)), (near(0.86), near(0.15))),
        line((near(0.2), y), (gap - 0.05, y)),
        line((gap + 0.05, y), (near(0.8), y)),
        lower,
    ]
}

/// 四 with one stroke from roof to roof instead of two legs.
fn diagonal_four(near: &mut impl FnMut(f32) -> f32) -> Vec<Draft> {
    let (t, b) = (near(0.16), near(0.86));
    let whole = d(&[
        &[(0.08, t), (near(0.08), 0.5), (0.1, b)],
        &[(0.1, b), (0.5, b), (0.9, b)],
        &[(0.9, b), (near(0.92), 0.5), (0.92, t)],
        &[(0.92, t), (0.5, near(0.14)), (0.08, t)],
    ]);
    let diagonal = line((near(0.66), t + 0.06), (near(0.32), b - 0.08));
    vec![whole, diagonal]
}

/// 五 like a 6 or a 5 on a bar.
fn joined_five(near: &mut impl FnMut(f32) -> f32) -> Vec<Draft> {
    let body = d(&[&[
        (near(0.6), near(0.06)),
        (near(0.38), 0.28),
        (near(0.28), near(0.56)),
        (near(0.5), near(0.46)),
        (near(0.7), near(0.58)),
        (near(0.64), 0.8),
        (near(0.5), near(0.9)),
    ]]);
    let base = line((near(0.06), near(0.94)), (near(0.94), near(0.93)));
    let top = line((near(0.34), near(0.1)), (near(0.82), near(0.07)));
    vec![top, body, base]
}

/// 六 with lid and legs far apart.
fn spread_six(near: &mut impl FnMut(f32) -> f32) -> Vec<Draft> {
    let bar = near(0.28);
    vec![
        line((near(0.5), 0.0), (near(0.5), bar - 0.1)),
        line((0.05, bar), (0.95, near(0.27))),
        line((near(0.36), near(0.62)), (near(0.14), 0.98)),
        line((near(0.62), near(0.62)), (near(0.88), 0.97)),
    ]
}

/// 七 whose bar comes back in a loop and becomes the stem.
fn looped_seven(near: &mut impl FnMut(f32) -> f32) -> Vec<Draft> {
    vec![d(&[&[
        (0.03, near(0.52)),
        (0.5, near(0.47)),
        (near(0.9), near(0.4)),
        (near(0.78), near(0.18)),
        (near(0.5), near(0.08)),
        (near(0.42), 0.4),
        (near(0.42), near(0.74)),
        (near(0.6), near(0.9)),
        (near(0.94), near(0.86)),
    ]])]
}

/// 九 with a hook as large as the rest.
fn wide_nine(near: &mut impl FnMut(f32) -> f32) -> Vec<Draft> {
    vec![
        line((near(0.42), 0.02), (near(0.05), near(0.96))),
        d(&[&[
            (near(0.1), near(0.34)),
            (near(0.6), near(0.3)),
            (near(0.58), near(0.64)),
            (near(0.7), near(0.92)),
            (near(1.0), near(0.9)),
            (near(1.1), near(0.5)),
        ]]),
    ]
}

fn seven_bar(rng: &mut impl Rng) -> Draft {
    let rise = rng.random_range(0.0..0.14);
    line((0.03, 0.46 + rise), (0.95, 0.42 - rise))
}

fn seven_stem(rng: &mut impl Rng) -> Draft {
    let x = rng.random_range(0.34..0.48);
    let lean = rng.random_range(-0.04..0.1);
    let floor = rng.random_range(0.84..0.95);
    let end = rng.random_range(0.78..0.98);
    let top = (x + lean, rng.random_range(0.02..0.1));
    let down = [top, (x, 0.4), (x - 0.01, floor - 0.16)];
    let mut pieces = if rng.random_bool(0.25) {
        vec![
            vec![top, (x, 0.5), (x - 0.01, floor)],
            vec![(x - 0.01, floor), (0.65, floor), (end, floor - 0.03)],
        ]
    } else {
        let round = [(x + 0.03, floor - 0.03), (x + 0.14, floor), (end, floor)];
        vec![down.iter().chain(&round).copied().collect()]
    };
    if rng.random_bool(0.5) {
        let foot = pieces
            .last()
            .and_then(|p| p.last())
            .copied()
            .unwrap_or((end, floor));
        let hook = rng.random_range(0.08..0.24);
        pieces.push(vec![
            foot,
            (foot.0 + 0.03, foot.1 - hook * 0.5),
            (foot.0 + 0.03, foot.1 - hook),
        ]);
    }
    Draft { pieces }
}

fn eight(rng: &mut impl Rng) -> Vec<Draft> {
    let apart = rng.random_range(0.03..0.14);
    let (lt, rt) = (rng.random_range(0.08..0.4), rng.random_range(0.02..0.3));
    let bow = rng.random_range(-0.02..0.08);
    let left = d(&[&[
        (0.48 - apart, lt),
        (0.38 - apart * 0.5 + bow, 0.52),
        (0.03, 0.95),
    ]]);
    let start = (0.48 + apart * 0.6, rt);
    let tail = [
        start,
        (0.62 + apart * 0.5, 0.5),
        (0.97, rng.random_range(0.86..0.97)),
    ];
    let right = match rng.random_range(0..4) {
        // The printed Japanese form begins with a short level stroke.
        0 => d(&[&[(start.0 - 0.14, rt + 0.02), start], &tail]),
        1 => d(&[
            &[tail[0], tail[1], (0.86, 0.9)],
            &[(0.86, 0.9), (0.99, 0.88)],
        ]),
        _ => d(&[&tail]),
    };
    vec![left, right]
}

fn nine(rng: &mut impl Rng) -> Vec<Draft> {
    let x = rng.random_range(0.34..0.46);
    let fall = d(&[&[(x, 0.03), (x - 0.02, 0.4), (x - 0.12, 0.72), (0.03, 0.95)]]);
    let bar = rng.random_range(0.26..0.4);
    let turn = rng.random_range(0.58..0.72);
    let floor = rng.random_range(0.84..0.95);
    let corner = (turn, bar - rng.random_range(0.0..0.06));
    let sweep = [
        corner,
        (turn - 0.03, 0.6),
        (turn + 0.02, floor - 0.04),
        (turn + 0.12, floor),
    ];
    let end = (
        rng.random_range(0.9..0.98),
        floor - rng.random_range(0.0..0.05),
    );
    let mut pieces = vec![vec![(0.08, bar + 0.03), (0.35, bar + 0.01), corner]];
    pieces.push(sweep.iter().copied().chain([end]).collect());
    if rng.random_bool(0.6) {
        let hook = rng.random_range(0.08..0.26);
        pieces.push(vec![
            end,
            (end.0 + 0.02, end.1 - hook * 0.5),
            (end.0 + 0.01, end.1 - hook),
        ]);
    }
    vec![fall, Draft { pieces }]
}

fn ten(rng: &mut impl Rng) -> Vec<Draft> {
    let bar = rng.random_range(0.34..0.5);
    let rise = rng.random_range(-0.01..0.06);
    let x = rng.random_range(0.44..0.56);
    let lean = rng.random_range(-0.03..0.04);
    let across = line((0.04, bar + rise), (0.96, bar - rise));
    let mut stem = line((x + lean, 0.03), (x - lean, 0.97));
    if rng.random_bool(0.12) {
        let foot = (x - lean, 0.97);
        stem.pieces.push(vec![foot, (foot.0 - 0.06, foot.1 - 0.06)]);
    }
    vec![across, stem]
}
