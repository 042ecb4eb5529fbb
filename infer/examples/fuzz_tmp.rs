//! temp
use hanja_common::config::InferConfig;
use hanja_common::record::{FrameRef, PixelFormat};
use hanja_infer::Detector;
use std::collections::BTreeMap;
fn rng(s: &mut u64) -> u64 { *s ^= *s << 13; *s ^= *s >> 7; *s ^= *s << 17; *s }
fn main() {
    let what = std::env::args().nth(1).unwrap();
    let n: u64 = std::env::args().nth(2).unwrap().parse().unwrap();
    let log = std::sync::Arc::new(std::sync::Mutex::new(BTreeMap::<String, u64>::new()));
    let l2 = log.clone();
    std::panic::set_hook(Box::new(move |i| { *l2.lock().unwrap().entry(i.to_string().replace('\n', " ").chars().take(300).collect()).or_default() += 1; }));
    let mut s = 88172645463325252u64;
    let mut ok = 0;
    if what == "onnx" {
        let orig = std::fs::read("model/weights/hanja-pico.onnx").unwrap();
        // structure is outside the raw weights: mutate positions where text/structure is: bias to head of tensors
        let dir = std::env::temp_dir().join("fz.onnx");
        for _ in 0..n {
            let mut b = orig.clone();
            for _ in 0..1 + rng(&mut s) % 4 {
                let i = match rng(&mut s) % 4 { 0 => (rng(&mut s) % 60_000) as usize, 1 => b.len() - 1 - (rng(&mut s) % 3000) as usize, _ => (rng(&mut s) % b.len() as u64) as usize };
                let i = i.min(b.len()-1);
                b[i] = rng(&mut s) as u8;
            }
            if rng(&mut s) % 8 == 0 { let k = (rng(&mut s) % b.len() as u64) as usize; b.truncate(k); }
            std::fs::write(&dir, &b).unwrap();
            let c = InferConfig { model: Some(dir.clone()), threads: Some(1), size: 64, ..Default::default() };
            let r = std::panic::catch_unwind(|| Detector::load(&c).map(|_| ()).map_err(|e| e.to_string()));
            if let Ok(Ok(())) = r { ok += 1; }
            if let Ok(Err(e)) = r { *log.lock().unwrap().entry(format!("err {}", &e.chars().take(120).collect::<String>())).or_default() += 1; }
        }
    } else {
        let mut seeds = vec![];
        for p in std::env::args().skip(3) { seeds.push(std::fs::read(p).unwrap()); }
        let mut det = Detector::load(&InferConfig { threads: Some(1), size: 64, ..Default::default() }).unwrap();
        for k in 0..n {
            let mut b = seeds[(k % seeds.len() as u64) as usize].clone();
            for _ in 0..1 + rng(&mut s) % 6 {
                let i = if rng(&mut s) % 2 == 0 { rng(&mut s) % 700 } else { rng(&mut s) % b.len() as u64 } as usize;
                let i = i.min(b.len()-1);
                b[i] = rng(&mut s) as u8;
            }
            if rng(&mut s) % 6 == 0 { let k = (rng(&mut s) % b.len() as u64) as usize; b.truncate(k); }
            let f = FrameRef { format: PixelFormat::Mjpg, width: 64, height: 64, stride: 0, bytes: &b };
            let r = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| det.detect(&f).map(|_| ()).map_err(|e| e.to_string())));
            if let Ok(Ok(())) = r { ok += 1; }
            if let Ok(Err(e)) = r { *log.lock().unwrap().entry(format!("err {}", &e.chars().take(100).collect::<String>())).or_default() += 1; }
        }
    }
    println!("ok {ok}");
    for (k, v) in log.lock().unwrap().iter() { println!("{v:6} {k}"); }
}
