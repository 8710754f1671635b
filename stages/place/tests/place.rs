//! The stage on small netlists: legal, short, repeatable, and the same circuit as before.

use std::collections::{BTreeMap, BTreeSet};

use nanoflow_layout::def::{Design, Terminal};
use nanoflow_layout::lef::Tech;
use nanoflow_layout::testing;
use nanoflow_stage_place::neighbours::Neighbours;
use nanoflow_stage_place::problem::Problem;
use nanoflow_stage_place::{place, Outcome, Params};

struct Fixture {
    tech: Tech,
    library: nanoflow_netlist::liberty::Library,
}

fn fixture() -> Fixture {
    let mut tech = Tech::default();
    tech.parse("tech.lef", testing::technology()).unwrap();
    tech.parse("cells.lef", &testing::cells()).unwrap();
    let library =
        nanoflow_netlist::liberty::read(&testing::liberty(), "small.lib".as_ref()).unwrap();
    Fixture { tech, library }
}

/// A design with rows of its own, 60 % full, ports at the left edge.
fn design(fixture: &Fixture, flip_flops: usize, gates: usize) -> Design {
    use nanoflow_layout::def::{Component, Net, Pin, Row, Use};
    use nanoflow_layout::lef::PinDirection;
    use nanoflow_layout::{Orient, Point, Rect};
    let netlist = nanoflow_netlist::verilog::read(
        &testing::netlist(flip_flops, gates),
        "small.v".as_ref(),
        None,
    )
    .unwrap();
    let mut design = Design {
        name: netlist.name.clone(),
        ..Design::default()
    };
    let mut nets: Vec<Net> = netlist
        .nets
        .iter()
        .map(|net| Net {
            name: net.name.clone(),
            ..Net::default()
        })
        .collect();
    let mut area = 0.0;
    for cell in &netlist.cells {
        let component = design.components.len();
        for (pin, net) in &cell.pins {
            nets[net.index()].terminals.push(Terminal::Pin {
                component,
                pin: pin.clone(),
            });
        }
        area += fixture.tech.cell(&cell.kind).unwrap().area_um2();
        design.components.push(Component {
            name: cell.name.clone(),
            cell: cell.kind.clone(),
            placement: None,
            source: None,
            properties: vec![],
        });
    }
    let rows = ((area / 0.6).sqrt() / 2.72).ceil() as i32;
    let count = (area / 0.6 / f64::from(rows) / 2.72 / 0.46).ceil() as i32;
    for row in 0..rows {
        let orient = if row % 2 == 0 { Orient::N } else { Orient::FS };
        design.rows.push(Row {
            name: format!("r{row}"),
            site: "unithd".into(),
            origin: Point::new(5520, 5440 + row * 2720),
            orient,
            count,
            step: 460,
        });
    }
    design.die = Rect::new(0, 0, 11_040 + count * 460, 10_880 + rows * 2720);
    let slots = nanoflow_layout::ports::slots(design.die);
    for port in &netlist.ports {
        for (bit, net) in port.bits.iter().enumerate() {
            let net = &mut nets[net.index()];
            let pin = design.pins.len();
            net.terminals.push(Terminal::Port(pin));
            if port.name == "clk" {
                net.use_ = Use::Clock;
            }
            let direction = if port.direction == nanoflow_netlist::Direction::Input {
                PinDirection::Input
            } else {
                PinDirection::Output
            };
            design.pins.push(Pin {
                name: format!("{}{bit}", port.name),
                net: net.name.clone(),
                direction,
                use_: Use::Signal,
                special: false,
                ports: vec![slots[pin].port()],
            });
        }
    }
    design.nets = nets
        .into_iter()
        .filter(|net| !net.terminals.is_empty())
        .collect();
    design
}

fn run(fixture: &Fixture, design: &mut Design, params: Params) -> Outcome {
    place(
        design,
        &fixture.tech,
        &fixture.library,
        &Neighbours::default(),
        params,
        &mut |_, _| {},
    )
    .unwrap()
}

/// What each pin of each original cell is driven by, seen through buffers.
fn sources(design: &Design) -> BTreeMap<(String, String), String> {
    let mut driver: BTreeMap<usize, String> = BTreeMap::new();
    let mut buffer_input: BTreeMap<String, usize> = BTreeMap::new();
    for (index, net) in design.nets.iter().enumerate() {
        for terminal in &net.terminals {
            match terminal {
                Terminal::Port(pin)
                    if design.pins[*pin].direction == nanoflow_layout::lef::PinDirection::Input =>
                {
                    driver.insert(index, design.pins[*pin].name.clone());
                }
                Terminal::Pin { component, pin } if matches!(pin.as_str(), "X" | "Y" | "Q") => {
                    driver.insert(index, design.components[*component].name.clone());
                }
                Terminal::Pin { component, pin } if pin == "A" => {
                    buffer_input.insert(design.components[*component].name.clone(), index);
                }
                _ => {}
            }
        }
    }
    let mut found = BTreeMap::new();
    for (index, net) in design.nets.iter().enumerate() {
        for terminal in &net.terminals {
            let Terminal::Pin { component, pin } = terminal else {
                continue;
            };
            let name = &design.components[*component].name;
            if name.starts_with("place_buf") || matches!(pin.as_str(), "X" | "Y" | "Q") {
                continue;
            }
            let mut source = driver[&index].clone();
            while source.starts_with("place_buf") {
                source = driver[&buffer_input[&source]].clone();
            }
            found.insert((name.clone(), pin.clone()), source);
        }
    }
    found
}

#[test]
fn cells_are_legal_and_the_circuit_is_the_same() {
    let fixture = fixture();
    let before = design(&fixture, 60, 500);
    let mut after = before.clone();
    let outcome = run(
        &fixture,
        &mut after,
        Params {
            reorder_scan: false,
            ..Params::default()
        },
    );
    assert!(outcome.hpwl_um > 0.0 && outcome.buffers > 0);
    // No two cells on one place, all on sites.
    let mut taken = BTreeSet::new();
    for component in &after.components {
        let at = component.placement.unwrap().at;
        let row = after
            .rows
            .iter()
            .find(|row| row.origin.y == at.y)
            .expect("a row");
        let width = fixture.tech.cell(&component.cell).unwrap().width;
        assert_eq!((at.x - row.origin.x) % 460, 0);
        assert!(at.x >= row.origin.x && at.x + width <= row.origin.x + row.count * 460);
        for site in 0..width / 460 {
            assert!(
                taken.insert((at.x + site * 460, at.y)),
                "component '{}' overlaps",
                component.name
            );
        }
    }
    assert_eq!(
        sources(&before),
        sources(&after),
        "buffers change no function"
    );
    let fanout = after
        .nets
        .iter()
        .filter(|net| net.use_ != nanoflow_layout::def::Use::Clock)
        .map(|net| net.terminals.len())
        .max();
    assert!(fanout.unwrap() <= 18, "{fanout:?}");
}

#[test]
fn scan_chain_stays_one_chain_with_its_ends() {
    let fixture = fixture();
    let mut design = design(&fixture, 60, 300);
    let outcome = run(&fixture, &mut design, Params::default());
    let scan: BTreeMap<String, String> = sources(&design)
        .into_iter()
        .filter(|((_, pin), _)| pin == "SCD")
        .map(|((cell, _), source)| (source, cell))
        .collect();
    let mut here = "scan_in0".to_string();
    let mut seen = Vec::new();
    while let Some(next) = scan.get(&here) {
        seen.push(next.clone());
        here.clone_from(next);
        assert!(seen.len() <= 60);
    }
    assert_eq!(seen.len(), 60);
    assert_eq!((seen[0].as_str(), seen[59].as_str()), ("flop_0", "flop_59"));
    assert!(outcome.scan_length_um > 0.0);
}

#[test]
fn the_same_design_gives_the_same_bytes_and_beats_chance() {
    let fixture = fixture();
    let start = design(&fixture, 30, 300);
    let (mut one, mut two) = (start.clone(), start.clone());
    let outcome = run(&fixture, &mut one, Params::default());
    run(&fixture, &mut two, Params::default());
    assert_eq!(one.to_text(), two.to_text());
    // Cells in the order of the netlist, row by row, as a yardstick.
    let problem = Problem::new(&one, &fixture.tech, &|_, _| false, true).unwrap();
    let at = nanoflow_stage_place::global::Positions {
        x: (0..problem.cells.len())
            .map(|cell| 6.0 + (cell * 7 % 50) as f64)
            .collect(),
        y: (0..problem.cells.len())
            .map(|cell| 6.0 + (cell * 13 % 50) as f64)
            .collect(),
    };
    let sites: Vec<i32> = problem.cells.iter().map(|cell| cell.width / 460).collect();
    let legal = nanoflow_stage_place::legal::legalise(&problem, &at, &sites).unwrap();
    let detail = nanoflow_stage_place::detail::Detail::new(
        &problem,
        legal,
        vec![false; problem.cells.len()],
    );
    detail.check().unwrap();
    assert!(
        outcome.hpwl_um < detail.hpwl() as f64 * 1e-3 * 0.6,
        "{} against {}",
        outcome.hpwl_um,
        detail.hpwl() as f64 * 1e-3
    );
}

/// Pairs of cells of this kind whose left sides abut.
fn left_sides_that_abut(fixture: &Fixture, design: &Design, kind: &str) -> usize {
    use nanoflow_layout::Orient;
    let width = fixture.tech.cell(kind).unwrap().width;
    let places: BTreeMap<(i32, i32), bool> = design
        .components
        .iter()
        .filter(|component| component.cell == kind)
        .map(|component| component.placement.unwrap())
        .map(|placement| {
            let mirrored = matches!(placement.orient, Orient::FN | Orient::S);
            ((placement.at.y, placement.at.x), mirrored)
        })
        .collect();
    places
        .iter()
        .filter(|((y, x), mirrored)| **mirrored && places.get(&(*y, x + width)) == Some(&false))
        .count()
}

#[test]
fn cells_that_clash_do_not_abut() {
    let fixture = fixture();
    let start = design(&fixture, 30, 300);
    let kind = "sky130_fd_sc_hd__nand2_1";
    let mut neighbours = Neighbours::default();
    let npc = [(100, 800), (100, 1200), (300, 1200), (300, 800)];
    neighbours.add(
        kind,
        fixture.tech.cell(kind).unwrap().width,
        &npc.map(|(x, y)| nanoflow_layout::Point::new(x, y)),
    );
    let (mut free, mut apart) = (start.clone(), start);
    run(&fixture, &mut free, Params::default());
    let before = left_sides_that_abut(&fixture, &free, kind);
    assert!(before > 0, "nothing to keep apart");
    let outcome = place(
        &mut apart,
        &fixture.tech,
        &fixture.library,
        &neighbours,
        Params::default(),
        &mut |_, _| {},
    )
    .unwrap();
    assert!(outcome.separated > 0);
    assert_eq!(left_sides_that_abut(&fixture, &apart, kind), 0);
}

#[test]
fn what_does_not_fit_is_said() {
    let fixture = fixture();
    let mut design = design(&fixture, 30, 300);
    design.rows.truncate(3);
    let error = place(
        &mut design,
        &fixture.tech,
        &fixture.library,
        &Neighbours::default(),
        Params::default(),
        &mut |_, _| {},
    )
    .unwrap_err();
    assert!(error.to_string().contains("um2 in the rows"), "{error}");
}

/// The cells of the shipped flow. The rule deck, run on all pairs of them in both orientations, finds npc.2 and nothing else.
const CELLS: &str = "a211oi_1 a21o_1 a21oi_1 a221oi_1 a22o_1 a22oi_1 a31oi_1 and2_1 and3_1 buf_1 buf_2 buf_4 clkbuf_1 \
     clkbuf_8 conb_1 diode_2 fa_1 fill_1 fill_2 fill_4 fill_8 inv_1 inv_2 mux2_1 nand2_1 nand2b_1 nand3_1 \
     nand4_1 nor2_1 nor2b_1 nor3_1 o211ai_1 o21a_1 o21ai_1 o221ai_1 o22ai_1 o31ai_1 or2_1 or3_1 sdfxtp_1 \
     tapvpwrvgnd_1 xnor2_1 xor2_1";

/// Needs the library's cells: the output of stage `pdk`, in `NANOFLOW_TEST_PDK` or in `artifacts/`.
#[test]
fn of_the_flows_cells_those_clash_that_the_rule_deck_finds() {
    let of_flow = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../artifacts/pdk/pdk");
    let pdk = std::env::var_os("NANOFLOW_TEST_PDK").map_or(of_flow, std::path::PathBuf::from);
    let layout = pdk.join("sky130_fd_sc_hd.gds");
    if !layout.is_file() {
        eprintln!("skipped: set NANOFLOW_TEST_PDK to the output of stage 'pdk'");
        return;
    }
    let layout = nanoflow_layout::gds::Library::read(layout).unwrap();
    let tech = Tech::load_pdk(&pdk).unwrap();
    let neighbours = Neighbours::new(&layout, &tech);
    let cells: Vec<(String, bool)> = CELLS
        .split_whitespace()
        .flat_map(|name| {
            [false, true].map(|mirrored| (format!("sky130_fd_sc_hd__{name}"), mirrored))
        })
        .collect();
    let mut found = BTreeSet::new();
    for (left, left_mirrored) in &cells {
        for (right, right_mirrored) in &cells {
            if neighbours.clash((left, *left_mirrored), (right, *right_mirrored)) {
                let short = |name: &str| name.trim_start_matches("sky130_fd_sc_hd__").to_string();
                found.insert((short(left), *left_mirrored, short(right), *right_mirrored));
            }
        }
    }
    let pair = |left: &str, left_mirrored, right: &str, right_mirrored| {
        (
            left.to_string(),
            left_mirrored,
            right.to_string(),
            right_mirrored,
        )
    };
    let expected = BTreeSet::from([
        pair("and3_1", true, "conb_1", false),
        pair("and3_1", true, "conb_1", true),
        pair("conb_1", false, "and3_1", false),
        pair("conb_1", true, "and3_1", false),
    ]);
    assert_eq!(found, expected);
}
