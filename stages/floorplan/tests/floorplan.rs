//! The stage on small netlists: rows, taps, ports and a power grid that holds the rules.

use std::collections::BTreeMap;

use nanoflow_layout::def::{Design, Terminal};
use nanoflow_layout::lef::Tech;
use nanoflow_layout::shapes::special_net_shapes;
use nanoflow_layout::testing;
use nanoflow_layout::Rect;
use nanoflow_sdk::testing::run;

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn new(netlist: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("pdk")).unwrap();
        testing::write_pdk(&dir.path().join("pdk")).unwrap();
        std::fs::write(dir.path().join("small.lib"), testing::liberty()).unwrap();
        std::fs::write(dir.path().join("small.v"), netlist).unwrap();
        Self { dir }
    }
    fn floorplan(&self, params: serde_json::Value) -> Result<Design, String> {
        let path = |name: &str| self.dir.path().join(name);
        let (netlist, pdk, liberty) = (path("small.v"), path("pdk"), path("small.lib"));
        let inputs = [
            ("netlist", netlist.as_path()),
            ("pdk", pdk.as_path()),
            ("liberty", liberty.as_path()),
        ];
        let finished = run(
            nanoflow_stage_floorplan::stage(),
            params,
            &inputs,
            &[("def", "floorplan.def")],
            1,
        )
        .map_err(|error| error.to_string())?;
        Design::load(finished.output("def")).map_err(|error| error.to_string())
    }
    fn tech(&self) -> Tech {
        Tech::load_pdk(&self.dir.path().join("pdk")).unwrap()
    }
}

/// Shapes of each net and layer; touching ones are joined by number.
fn pieces(shapes: &[(String, Rect)]) -> usize {
    // Cut layers join the metal below and above, which their shapes touch.
    let order = [
        "met1", "via", "met2", "via2", "met3", "via3", "met4", "via4", "met5",
    ];
    let level = |layer: &str| order.iter().position(|name| *name == layer).unwrap() as i32;
    let mut parent: Vec<usize> = (0..shapes.len()).collect();
    fn root(parent: &mut [usize], mut at: usize) -> usize {
        while parent[at] != at {
            parent[at] = parent[parent[at]];
            at = parent[at];
        }
        at
    }
    for a in 0..shapes.len() {
        for b in 0..a {
            if (level(&shapes[a].0) - level(&shapes[b].0)).abs() <= 1
                && shapes[a].1.touches(&shapes[b].1)
            {
                let (x, y) = (root(&mut parent, a), root(&mut parent, b));
                parent[x] = y;
            }
        }
    }
    (0..shapes.len()).filter(|&at| parent[at] == at).count()
}

#[test]
fn power_grid_is_one_piece_for_each_supply_and_keeps_the_rules() {
    for (flip_flops, gates) in [(2, 3), (40, 400)] {
        let folder = Folder::new(&testing::netlist(flip_flops, gates));
        let design = folder.floorplan(serde_json::json!({})).unwrap();
        let tech = folder.tech();
        let mut all: BTreeMap<String, Vec<(String, Rect)>> = BTreeMap::new();
        for net in &design.special_nets {
            let shapes = special_net_shapes(&design, &tech, net).unwrap();
            let shapes: Vec<(String, Rect)> = shapes
                .iter()
                .map(|shape| (shape.layer.to_string(), shape.rect))
                .collect();
            assert_eq!(
                pieces(&shapes),
                1,
                "{} of {gates} gates is one piece",
                net.name
            );
            all.insert(net.name.clone(), shapes);
        }
        let (ground, power) = (&all["VGND"], &all["VPWR"]);
        for (layer, rect) in ground.iter().chain(power) {
            assert!(
                design.die.encloses(rect),
                "{layer} {rect:?} lies in the die"
            );
            let layer = tech.layer(layer).unwrap();
            assert!(
                rect.width() >= layer.width && rect.height() >= layer.width,
                "{} {rect:?}",
                layer.name
            );
            let corners = [rect.x0, rect.y0, rect.x1, rect.y1];
            assert!(
                corners.iter().all(|value| value % 5 == 0),
                "{} {rect:?} is on the grid",
                layer.name
            );
        }
        for (layer, rect) in ground {
            let space = i64::from(
                tech.layer(layer)
                    .unwrap()
                    .spacing_for(rect.width().min(rect.height())),
            );
            for (other_layer, other) in power.iter().filter(|(other, _)| other == layer) {
                assert!(
                    rect.distance_squared(other) >= space * space,
                    "{other_layer}: {rect:?} {other:?}"
                );
            }
        }
        // Every cut lies in one shape of the metal below and above with the enclosure of the rules.
        for (net, shapes) in &all {
            for (cut, below, above) in [
                ("via", "met1", "met2"),
                ("via2", "met2", "met3"),
                ("via3", "met3", "met4"),
                ("via4", "met4", "met5"),
            ] {
                let layer = tech.layer(cut).unwrap();
                for (_, rect) in shapes.iter().filter(|(name, _)| name == cut) {
                    assert_eq!((rect.width(), rect.height()), (layer.width, layer.width));
                    for (metal, (one, two)) in [
                        (below, layer.enclosure_below),
                        (above, layer.enclosure_above),
                    ] {
                        let held =
                            shapes
                                .iter()
                                .filter(|(name, _)| name == metal)
                                .any(|(_, metal)| {
                                    let (x, y) = (
                                        (rect.x0 - metal.x0).min(metal.x1 - rect.x1),
                                        (rect.y0 - metal.y0).min(metal.y1 - rect.y1),
                                    );
                                    x.min(y) >= one && x.max(y) >= two
                                });
                        assert!(held, "{net}: {cut} {rect:?} in {metal}");
                    }
                }
            }
        }
    }
}

#[test]
fn taps_reach_everywhere_and_ports_keep_apart() {
    let folder = Folder::new(&testing::netlist(40, 400));
    let design = folder
        .floorplan(serde_json::json!({ "utilization": 0.4 }))
        .unwrap();
    for row in &design.rows {
        let mut taps: Vec<i32> = design
            .components
            .iter()
            .filter(|component| component.cell.contains("tap"))
            .filter_map(|component| component.placement)
            .filter(|placement| placement.at.y == row.origin.y)
            .map(|placement| placement.at.x)
            .collect();
        taps.sort_unstable();
        let end = row.origin.x + row.count * row.step;
        assert!(taps[0] - row.origin.x < 15_000 && end - taps[taps.len() - 1] < 15_000);
        assert!(taps.windows(2).all(|pair| pair[1] - pair[0] < 30_000));
    }
    let pins: Vec<Rect> = design
        .pins
        .iter()
        .filter(|pin| !pin.special)
        .map(|pin| pin.placed_shapes().next().unwrap().1)
        .collect();
    assert_eq!(pins.len(), 12);
    for (index, pin) in pins.iter().enumerate() {
        assert!(pins[..index]
            .iter()
            .all(|other| pin.distance_squared(other) >= 300 * 300));
    }
}

#[test]
fn constants_get_tie_cells() {
    let gates: String = (0..10)
        .map(|gate| format!(" sky130_fd_sc_hd__nand2_1 g{gate} (.A(a), .B(1'b1), .Y(w{gate}));\n"))
        .collect();
    let folder = Folder::new(&format!("module m(a, c);\n input a; output c;\n{gates} sky130_fd_sc_hd__nand2_1 g (.A(a), .B(1'b0), .Y(c));\nendmodule\n"));
    let design = folder.floorplan(serde_json::json!({})).unwrap();
    let ties: Vec<usize> = design
        .nets
        .iter()
        .filter(|net| net.terminals.iter().any(|terminal| matches!(terminal, Terminal::Pin { pin, .. } if pin == "HI" || pin == "LO")))
        .map(|net| net.terminals.len() - 1)
        .collect();
    assert_eq!(ties.iter().sum::<usize>(), 11, "all constant inputs");
    assert!(
        ties.len() == 3 && ties.iter().all(|sinks| *sinks <= 8),
        "{ties:?}"
    );
    // In Verilog an instance and a net share one space of names.
    for component in &design.components {
        let same = design.nets.iter().any(|net| net.name == component.name);
        assert!(!same, "{} is an instance and a net", component.name);
    }
}

#[test]
fn faults_are_named() {
    let folder = Folder::new("module m(a, y);\n input a; output y;\n sky130_fd_sc_hd__magic_1 g (.A(a), .Y(y));\nendmodule\n");
    assert_eq!(
        folder.floorplan(serde_json::json!({})).unwrap_err(),
        "the LEF files have no cell 'sky130_fd_sc_hd__magic_1'"
    );
    let folder = Folder::new(&testing::netlist(4, 4));
    assert!(folder
        .floorplan(serde_json::json!({ "utilization": 1.5 }))
        .unwrap_err()
        .contains("utilization"));
    assert!(folder
        .floorplan(serde_json::json!({ "utilisation": 0.5 }))
        .unwrap_err()
        .contains("utilisation"));
}
