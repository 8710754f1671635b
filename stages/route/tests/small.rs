//! The stage on small placed designs with the real cells. Skipped, and says so, where there is no PDK.

use std::path::{Path, PathBuf};

use nanoflow_layout::def::{Component, Design, Net, Pin, PinPort, Placement, Row, Terminal, Use};
use nanoflow_layout::lef::{PinDirection, Tech};
use nanoflow_layout::shapes::net_shapes;
use nanoflow_layout::{Orient, Point, Rect};
use nanoflow_sdk::{testing, Failure};

/// The output of stage `pdk`: `NANOFLOW_TEST_PDK`, or what a run of the flow left in `artifacts/`.
fn pdk() -> Option<PathBuf> {
    let of_flow = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../artifacts/pdk/pdk");
    let found = std::env::var_os("NANOFLOW_TEST_PDK")
        .map(PathBuf::from)
        .or(Some(of_flow));
    let found = found.filter(|path| path.join("sky130_fd_sc_hd.gds").is_file());
    if found.is_none() {
        eprintln!("skipped: set NANOFLOW_TEST_PDK to the output of stage 'pdk'");
    }
    found
}

const CELLS: [(&str, &[&str], &str, i32); 4] = [
    ("sky130_fd_sc_hd__nand2_1", &["A", "B"], "Y", 1380),
    ("sky130_fd_sc_hd__a21oi_1", &["A1", "A2", "B1"], "Y", 1840),
    ("sky130_fd_sc_hd__mux2_1", &["A0", "A1", "S"], "X", 4140),
    ("sky130_fd_sc_hd__inv_1", &["A"], "Y", 1380),
];

/// Rows of cells, each input driven by some cell near by or by one of two ports.
fn design(rows: i32, per_row: i32) -> Design {
    let width = per_row * 4600;
    let mut design = Design {
        name: "small".into(),
        die: Rect::new(0, 0, width + 11_040, rows * 2720 + 21_760),
        ..Design::default()
    };
    let mut outputs: Vec<(usize, &str)> = Vec::new();
    for row in 0..rows {
        let (origin, orient) = (
            Point::new(5520, 10_880 + row * 2720),
            if row % 2 == 0 { Orient::N } else { Orient::FS },
        );
        design.rows.push(Row {
            name: format!("ROW_{row}"),
            site: "unithd".into(),
            origin,
            orient,
            count: width / 460,
            step: 460,
        });
        for k in 0..per_row {
            let (cell, _, output, _) = CELLS[((row * 7 + k * 3) % 4) as usize];
            let placement = Some(Placement {
                at: Point::new(origin.x + k * 4600, origin.y),
                orient,
                fixed: false,
            });
            outputs.push((design.components.len(), output));
            design.components.push(Component {
                name: format!("c{}", outputs.len()),
                cell: cell.into(),
                placement,
                source: None,
                properties: vec![],
            });
        }
    }
    design.nets = outputs
        .iter()
        .enumerate()
        .map(|(k, (component, pin))| Net {
            name: format!("n{k}"),
            terminals: vec![Terminal::Pin {
                component: *component,
                pin: (*pin).into(),
            }],
            ..Net::default()
        })
        .collect();
    for (name, x) in [("a", 5750), ("b", width - 690)] {
        let port = PinPort {
            shapes: vec![("met2".into(), Rect::new(-70, 0, 70, 485))],
            placement: Some(Placement {
                at: Point::new(x, 0),
                orient: Orient::N,
                fixed: true,
            }),
        };
        let pin = Pin {
            name: name.into(),
            net: name.into(),
            direction: PinDirection::Input,
            use_: Use::Signal,
            special: false,
            ports: vec![port],
        };
        design.pins.push(pin);
        let terminals = vec![Terminal::Port(design.pins.len() - 1)];
        design.nets.push(Net {
            name: name.into(),
            terminals,
            ..Net::default()
        });
    }
    let count = outputs.len();
    for component in 0..count {
        let kind = CELLS
            .iter()
            .find(|cell| cell.0 == design.components[component].cell)
            .unwrap();
        for (k, input) in kind.1.iter().enumerate() {
            let driver = (component * 5 + k * 7 + 1) % (count + 2);
            design.nets[driver].terminals.push(Terminal::Pin {
                component,
                pin: (*input).into(),
            });
        }
    }
    design
}

fn run(
    design: &Design,
    pdk: &Path,
    threads: usize,
) -> Result<(String, nanoflow_sdk::Metrics), nanoflow_sdk::StageError> {
    let dir = tempfile::tempdir().unwrap();
    let def = dir.path().join("cts.def");
    design.save(&def).unwrap();
    let inputs = [("def", def.as_path()), ("pdk", pdk)];
    let done = testing::run(
        nanoflow_stage_route::stage(),
        serde_json::json!({}),
        &inputs,
        &[("def", "route.def")],
        threads,
    )?;
    Ok((
        std::fs::read_to_string(done.output("def")).unwrap(),
        done.metrics.clone(),
    ))
}

#[test]
fn a_small_design_is_clean_connected_and_the_same_for_any_number_of_threads() {
    let Some(pdk) = pdk() else { return };
    let design = design(8, 6);
    let (one, metrics) = run(&design, &pdk, 1).unwrap();
    let (two, _) = run(&design, &pdk, 2).unwrap();
    assert_eq!(one, two);
    for zero in ["violations", "antenna_nets", "overflow", "opens"] {
        assert_eq!(metrics[zero].value, 0.0, "{zero}");
    }
    let routed = Design::parse("route.def", &one).unwrap();
    let tech = Tech::load_pdk(&pdk).unwrap();
    // Each net is one piece, as read back from the DEF: from every pin's contact all metal can be walked.
    for net in routed.nets.iter().filter(|net| net.terminals.len() > 1) {
        let shapes = net_shapes(&routed, &tech, net).unwrap();
        let metal = |layer: &str| {
            [
                "li1", "mcon", "met1", "via", "met2", "via2", "met3", "via3", "met4",
            ]
            .iter()
            .position(|l| *l == layer)
            .unwrap()
        };
        let mut seen = vec![false; shapes.len()];
        let mut stack = vec![0];
        seen[0] = true;
        while let Some(k) = stack.pop() {
            for j in 0..shapes.len() {
                let near = metal(shapes[k].layer).abs_diff(metal(shapes[j].layer)) <= 1;
                // li1 of two contacts is not one piece.
                let li = shapes[k].layer == "li1" && shapes[j].layer == "li1";
                if !seen[j] && near && !li && shapes[k].rect.touches(&shapes[j].rect) {
                    seen[j] = true;
                    stack.push(j);
                }
            }
        }
        assert!(seen.iter().all(|s| *s), "net {} falls apart", net.name);
        let contacts = shapes.iter().filter(|shape| shape.layer == "mcon").count();
        let pins = net
            .terminals
            .iter()
            .filter(|t| matches!(t, Terminal::Pin { .. }))
            .count();
        assert_eq!(
            contacts, pins,
            "net {}: one contact for each pin on li1",
            net.name
        );
    }
    // All metal lies inside the die.
    for net in &routed.nets {
        for shape in net_shapes(&routed, &tech, net).unwrap() {
            assert!(
                routed.die.encloses(&shape.rect),
                "net {} leaves the die at {:?}",
                net.name,
                shape.rect
            );
        }
    }
}

/// Wires of 60 µm from most cells of a strip 22 µm high want far more than the metals hold: told in a moment, with
/// place and nets.
#[test]
fn demand_far_beyond_all_room_is_told_before_detailed_routing() {
    let Some(pdk) = pdk() else { return };
    let started = std::time::Instant::now();
    let error = run(&design(8, 40), &pdk, 1).unwrap_err();
    assert_eq!(error.kind, Failure::Design);
    let text = &error.message;
    assert!(
        text.contains("of the wires have no room (limit 3.0 %)"),
        "{text}"
    );
    assert!(
        text.contains("worst from (") && text.contains(": n"),
        "{text}"
    );
    assert!(started.elapsed().as_secs() < 60);
}

#[test]
fn what_cannot_be_reached_is_told_with_net_and_place() {
    let Some(pdk) = pdk() else { return };
    let mut design = design(2, 2);
    // A supply strap of met1 over the first cell hides all its pins.
    let wire = nanoflow_layout::def::SpecialWire {
        layer: "met1".into(),
        width: 2000,
        shape: None,
        items: vec![
            nanoflow_layout::def::WireItem::point(5000, 12_240),
            nanoflow_layout::def::WireItem::point(8000, 12_240),
        ],
    };
    design.special_nets.push(nanoflow_layout::def::SpecialNet {
        name: "VPWR".into(),
        use_: Use::Power,
        connections: vec![],
        wires: vec![wire],
    });
    let error = run(&design, &pdk, 1).unwrap_err();
    assert_eq!(error.kind, Failure::Design);
    assert!(
        error.message.contains("no legal access to pin")
            && error.message.contains("at (5520, 10880)"),
        "{}",
        error.message
    );
    design.special_nets.clear();
    design.components[1].placement = None;
    let error = run(&design, &pdk, 1).unwrap_err();
    assert!(
        error.message.contains("component 'c2' is not placed"),
        "{}",
        error.message
    );
}
