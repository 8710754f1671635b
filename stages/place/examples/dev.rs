use nanoflow_layout::{def::Design, lef::Tech};
use nanoflow_stage_place::{global::*, problem::*};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let tech = Tech::load_pdk(std::path::Path::new(&a[1])).unwrap();
    let d = Design::load(std::path::Path::new(&a[2])).unwrap();
    let p = Problem::new(&d, &tech, Scope::Late, true).unwrap();
    let w: Vec<f64> = p.cells.iter().map(|c| f64::from(c.width) * 1e-3).collect();
    let t = std::time::Instant::now();
    let g = |k: usize, v: f64| a.get(k).and_then(|s| s.parse().ok()).unwrap_or(v);
    let at = place(
        &p,
        &w,
        None,
        GlobalParams {
            stop_overflow: 0.08,
            target_density: g(3, 0.7),
            max_iterations: 1000,
            first_weight: g(4, 8e-5),
            seed: 1,
        },
        &mut |i, o, l| {
            if i % 20 == 0 {
                println!("{i} {o:.4} {l:.0} {:.1}s", t.elapsed().as_secs_f64())
            }
        },
    );

    let sites: Vec<i32> = p.cells.iter().map(|c| c.width / 460).collect();
    let l = nanoflow_stage_place::legal::legalise(&p, &at, &sites).unwrap();
    let mut det = nanoflow_stage_place::detail::Detail::new(&p, l, vec![false; p.cells.len()]);
    det.check().unwrap();
    println!(
        "legal {} {:.1}",
        det.hpwl() as f64 / 1e3,
        t.elapsed().as_secs_f64()
    );
    det.run(8, &mut |r, l| {
        println!("{r} {} {:.1}", l as f64 / 1e3, t.elapsed().as_secs_f64())
    });
    det.check().unwrap();
    let mut d = d.clone();
    for (i, c) in p.cells.iter().enumerate() {
        let (at, orient) = det.placement(i);
        d.components[c.component].placement = Some(nanoflow_layout::def::Placement {
            at,
            orient,
            fixed: false,
        });
    }
    if let Some(o) = a.get(5) {
        d.save(std::path::Path::new(o)).unwrap();
    }
}
