//! A model of which one knows the answer, and a slot whose bytes go bad when it is let go.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use hanja_cuda::{
    Axis, ChannelSpec, Colour, Conversion, Device, Error, FilterSpec, FilteredBox, FilteredBoxes,
};
use hanja_cuda::{FramePath, Placement, Registration, Source, Spec, Work};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Width and height of picture and input.
pub const SIDE: usize = 32;
pub const ROWS: usize = SIDE * SIDE;
pub const CONF: f32 = 0.5;

pub fn spec() -> Spec {
    Spec {
        input: (SIDE, SIDE),
        half: false,
        output: FilterSpec {
            rows: ROWS,
            columns: 7,
            half: false,
            conf: CONF,
        },
        most: 4096,
        graphs: true,
    }
}

/// One sample to one pixel.
pub fn conversion() -> Arc<Conversion> {
    let first: Vec<u32> = (0..SIDE as u32).collect();
    let axis = Axis {
        width: 1,
        first: &first,
        weights: &[1.0; SIDE],
    };
    let channel = ChannelSpec {
        start: 0,
        stride: SIDE,
        step: 1,
        lines: SIDE,
        samples: SIDE,
        down: axis,
        across: axis,
    };
    let placement = Placement {
        net_width: SIDE,
        net_height: SIDE,
        left: 0,
        top: 0,
        width: SIDE,
        height: SIDE,
    };
    Arc::new(Conversion::new(placement, Colour::Grey, [channel; 3]).unwrap())
}

/// A grey picture; every `n` another one. One in `rare` pixels is bright.
pub fn picture(n: usize, rare: usize) -> Vec<u8> {
    (0..ROWS)
        .map(|i| {
            let noise = (i * 7919 + n * 104_729).wrapping_mul(0x9e37_79b9) >> 7;
            if noise.is_multiple_of(rare) {
                128 + (noise >> 9) as u8 % 128
            } else {
                (noise >> 9) as u8 % 120
            }
        })
        .collect()
}

/// What the model below, filter and sorting make of it.
pub fn answer(picture: &[u8]) -> FilteredBoxes {
    let mut list: Vec<_> = (0u32..)
        .zip(picture)
        .map(|(row, v)| (row, f32::from(*v) * (1.0 / 255.0)))
        .filter(|(_, score)| *score >= CONF)
        .map(|(row, score)| FilteredBox {
            x1: row as f32 - 2.0,
            y1: 7.0,
            x2: row as f32 + 2.0,
            y2: 13.0,
            score,
            class: 1,
            row,
        })
        .collect();
    list.sort_by(|a, b| b.score.total_cmp(&a.score));
    FilteredBoxes {
        total: list.len() as u32,
        list,
    }
}

/// Puts a model into the stream that takes each pixel for the score of a box.
pub fn model(work: Work) -> Result<(), std::io::Error> {
    struct Job(u64, u64);
    extern "C" fn compute(job: *mut c_void) {
        // SAFETY: the box leaked below; the fake's addresses are the CPU's, of tensor and output as in `spec`.
        unsafe {
            let Job(input, output) = *job.cast::<Job>();
            let input = std::slice::from_raw_parts(input as *const f32, 3 * ROWS);
            let output = std::slice::from_raw_parts_mut(output as *mut f32, 7 * ROWS);
            for (row, out) in output.chunks_exact_mut(7).enumerate() {
                let (red, blue) = (input[row], input[2 * ROWS + row]);
                assert_eq!(red, blue);
                out.copy_from_slice(&[row as f32, 10.0, 4.0, 6.0, red, 0.5, 1.0]);
            }
        }
    }
    type Launch = unsafe extern "C" fn(*mut c_void, extern "C" fn(*mut c_void), *mut c_void) -> u32;
    // Leaked: a graph runs it again and again.
    let job = Box::into_raw(Box::new(Job(work.input, work.output)));
    // SAFETY: the fake driver, whose function has this type; the stream is valid for this call.
    let code = unsafe {
        let library = libloading::Library::new("libcuda.so.1").unwrap();
        let launch = library.get::<Launch>(b"cuLaunchHostFunc\0").unwrap();
        launch(work.stream, compute, job.cast())
    };
    if code == 0 {
        Ok(())
    } else {
        Err(std::io::Error::other(format!("the model: {code}")))
    }
}

/// Slots as in the ring. Like there, a slot that nobody holds may be written at any time.
#[derive(Debug)]
pub struct Slots {
    memory: *mut u8,
    held: Arc<AtomicUsize>,
}

/// Holds a slot.
#[derive(Debug)]
pub struct Hold {
    at: usize,
    held: Arc<AtomicUsize>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // SAFETY: the slot's memory, leaked; only the fake's reads of it can be under way, on this thread.
        unsafe { (self.at as *mut u8).write_bytes(0xff, ROWS) };
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    pub const COUNT: usize = 4;

    pub fn new() -> Self {
        let memory = Box::leak(vec![0; Self::COUNT * ROWS].into_boxed_slice());
        Self {
            memory: memory.as_mut_ptr(),
            held: Arc::default(),
        }
    }

    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub fn register(&self, device: &Device) -> Registration {
        // SAFETY: leaked, so there for good.
        unsafe { Registration::new(device, self.memory, Self::COUNT * ROWS, ()) }.unwrap()
    }

    /// Writes a picture into a slot; gives its bytes, and what holds it.
    pub fn fill(&self, n: usize, picture: &[u8]) -> (&[u8], Hold) {
        self.held.fetch_add(1, Ordering::Relaxed);
        // SAFETY: inside the memory; not held (4 slots for at most 3 frames), so nobody reads it.
        let slot = unsafe {
            let at = self.memory.add(n % Self::COUNT * ROWS);
            at.copy_from_nonoverlapping(picture.as_ptr(), ROWS);
            std::slice::from_raw_parts(at, ROWS)
        };
        let hold = Hold {
            at: slot.as_ptr() as usize,
            held: Arc::clone(&self.held),
        };
        (slot, hold)
    }
}

/// A path and all that it needs.
#[derive(Debug)]
pub struct Rig {
    pub path: FramePath,
    pub slots: Slots,
    pub registration: Option<Registration>,
    pub conversion: Arc<Conversion>,
}

impl Rig {
    pub fn new(device: &Device, registered: bool) -> Result<Self, Error> {
        let slots = Slots::new();
        Ok(Self {
            path: FramePath::new(device, spec())?,
            registration: registered.then(|| slots.register(device)),
            slots,
            conversion: conversion(),
        })
    }

    pub fn submit(&mut self, n: usize, picture: &[u8]) -> Result<(), Error> {
        let (bytes, hold) = self.slots.fill(n, picture);
        let source = match &self.registration {
            Some(r) => Source::Registered(r.place(bytes).expect("inside")),
            None => Source::Host(bytes),
        };
        self.path
            .submit_frame(source, &self.conversion, hold, model)
    }

    /// Frames two at a time; every answer is that of its picture.
    pub fn play(&mut self, frames: std::ops::Range<usize>, rare: usize) -> Result<(), Error> {
        let mut sent = std::collections::VecDeque::new();
        for n in frames {
            if self.path.under_way() == 2 {
                self.next(&mut sent)?;
            }
            let picture = picture(n, rare);
            self.submit(n, &picture)?;
            sent.push_back(picture);
        }
        while !sent.is_empty() {
            self.next(&mut sent)?;
        }
        assert_eq!((self.path.under_way(), self.slots.held()), (0, 0));
        assert!(self.path.wait()?.is_none());
        Ok(())
    }

    fn next(&mut self, sent: &mut std::collections::VecDeque<Vec<u8>>) -> Result<(), Error> {
        let found = self.path.wait()?.expect("under way");
        let want = answer(&sent.pop_front().expect("sent"));
        assert!(want.total > 0, "the test's pictures have something in them");
        assert_eq!(found, want);
        Ok(())
    }
}

pub fn count(calls: &[String], name: &str) -> usize {
    calls.iter().filter(|c| *c == name).count()
}
