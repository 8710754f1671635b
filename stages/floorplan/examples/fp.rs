use nanoflow_layout::{def::Design, lef::Tech};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let tech = Tech::load_pdk(std::path::Path::new(&a[1])).unwrap();
    let mut d = Design::load(std::path::Path::new(&a[2])).unwrap();
    let c = nanoflow_stage_floorplan::draw(&mut d, &tech, a[4].parse().unwrap(), 1.0).unwrap();
    println!("{c:?}");
    d.save(std::path::Path::new(&a[3])).unwrap();
}
