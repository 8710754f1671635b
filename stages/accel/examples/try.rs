use nanoflow_accel::{simulate::*, *};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let dims = Dims { vocab: 37, block: 21, width: 19, hidden: 43, head_dim: 5, heads: vec![3, 0, 1] };
    let dims = if a.get(2).is_some_and(|s| s == "tiny") { Dims { vocab: 512, block: 64, width: 80, hidden: 320, head_dim: 16, heads: vec![4, 4] } } else { dims };
    let model = IntModel::from_quant(&QuantModel::random(5, &dims)).unwrap();
    let hardware = Hardware::default();
    let program = assemble(&model, &hardware).unwrap();
    let n = a.get(3).and_then(|s| s.parse().ok()).unwrap_or(10usize);
    let golden = Golden::record(&model, &[(0..n).map(|i| ((i * 11 + 2) % dims.vocab) as u16).collect(), vec![1, 2]]).unwrap();
    if let Some(dir) = a.get(5) {
        program.write(&std::path::Path::new(dir).join("program.bin")).unwrap();
        golden.write(&std::path::Path::new(dir).join("golden.json")).unwrap();
    }
    let scratch = std::path::PathBuf::from("/work/tmp/accel/sim");
    std::fs::create_dir_all(&scratch).unwrap();
    let verilog = std::fs::read_dir(&a[1]).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "v")).collect();
    let icarus = a.get(4).is_some_and(|s| s == "icarus");
    let t = std::time::Instant::now();
    let out = Simulation { verilog, top: "nanoflow_top".into(), extra_ports: String::new(), hardware, program: &program, golden: &golden,
        simulator: if icarus { Simulator::Icarus } else { Simulator::Verilator }, max_tokens: 1000, latency: (1, 1), stall: 0, argmax: true, scratch: &scratch, threads: 2 }.run().unwrap();
    println!("{} words, {:?} cycles/token {} {:?}", program.info.memory_words, Outcome { cycles: vec![], ..out.clone() }, out.cycles_per_token(), t.elapsed());
    println!("{:?}", out.cycles);
}
