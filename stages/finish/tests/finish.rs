//! The stage on a small routed design: no gaps, cells as in the library, parasitics of known wires, netlists of the same circuit.

use nanoflow_layout::def::Design;
use nanoflow_layout::gds::{ElementKind, Library};
use nanoflow_layout::testing;
use nanoflow_sdk::testing::{run, Finished};

/// Two inverters in a row, joined by a wire of 10 µm on met1 between two contacts, and a flipped buffer above.
const ROUTED: &str = "VERSION 5.8 ;\nDESIGN t ;\nUNITS DISTANCE MICRONS 1000 ;\nDIEAREA ( 0 0 ) ( 20000 8160 ) ;\n\
ROW r0 unithd 0 0 N DO 40 BY 1 STEP 460 0 ;\nROW r1 unithd 0 2720 FS DO 40 BY 1 STEP 460 0 ;\n\
COMPONENTS 3 ;\n- a[1] sky130_fd_sc_hd__inv_1 + PLACED ( 0 0 ) N ;\n- b sky130_fd_sc_hd__inv_1 + PLACED ( 9200 0 ) N ;\n- c sky130_fd_sc_hd__buf_1 + PLACED ( 920 2720 ) S ;\nEND COMPONENTS\n\
PINS 3 ;\n- x[0] + NET x[0] + DIRECTION INPUT + USE SIGNAL + PORT + LAYER met3 ( 0 -165 ) ( 855 165 ) + PLACED ( 0 850 ) N ;\n\
- x[1] + NET x[1] + DIRECTION INPUT + USE SIGNAL + PORT + LAYER met3 ( 0 -165 ) ( 855 165 ) + PLACED ( 0 2210 ) N ;\n\
- VGND + NET VGND + SPECIAL + DIRECTION INOUT + USE GROUND + PORT + LAYER met1 ( -9000 -240 ) ( 9000 240 ) + FIXED ( 9200 0 ) N ;\nEND PINS\n\
SPECIALNETS 2 ;\n- VGND ( * VGND ) ( * VNB ) ( PIN VGND ) + ROUTED met1 480 + SHAPE FOLLOWPIN ( 0 0 ) ( 18400 0 ) + USE GROUND ;\n- VPWR ( * VPWR ) ( * VPB ) + USE POWER ;\nEND SPECIALNETS\n\
NETS 3 ;\n- x[0] ( PIN x[0] ) ( a[1] A ) + USE SIGNAL ;\n- x[1] ( PIN x[1] ) ( c A ) + USE SIGNAL ;\n\
- mid ( a[1] Y ) ( b A ) + USE SIGNAL + ROUTED met1 ( 690 1350 ) ( 9430 1350 ) NEW met1 ( 690 1350 ) L1M1_PR NEW met1 ( 9430 1350 ) L1M1_PR ;\nEND NETS\nEND DESIGN\n";

const OUTPUTS: [(&str, &str); 5] = [
    ("gds", "top.gds"),
    ("def", "top.def"),
    ("spef", "top.spef"),
    ("netlist", "top.v"),
    ("cdl", "top.cdl"),
];

fn finish(def: &str) -> Result<(Finished, Library), String> {
    let dir = tempfile::tempdir().unwrap();
    testing::write_pdk(dir.path()).unwrap();
    let path = dir.path().join("route.def");
    std::fs::write(&path, def).unwrap();
    let cells = Library::read(dir.path().join("sky130_fd_sc_hd.gds")).unwrap();
    let inputs = [("def", path.as_path()), ("pdk", dir.path())];
    let finished = run(
        nanoflow_stage_finish::stage(),
        serde_json::json!({}),
        &inputs,
        &OUTPUTS,
        1,
    )
    .map_err(|error| error.to_string())?;
    Ok((finished, cells))
}

fn text(finished: &Finished, output: &str) -> String {
    std::fs::read_to_string(finished.output(output)).unwrap()
}

#[test]
fn rows_are_full_and_cells_are_the_librarys() {
    let (finished, cells) = finish(ROUTED).unwrap();
    let design = Design::load(finished.output("def")).unwrap();
    let sites: i32 = design
        .components
        .iter()
        .map(
            |component| match component.cell.rsplit("__").next().unwrap() {
                "inv_1" | "buf_1" => 3,
                filler => filler.trim_start_matches("fill_").parse().unwrap(),
            },
        )
        .sum();
    assert_eq!(sites, 80, "all sites of both rows are taken");
    let layout = Library::read(finished.output("gds")).unwrap();
    for structure in layout
        .structures
        .iter()
        .filter(|structure| structure.name() != "t")
    {
        assert_eq!(
            structure.raw(),
            cells.structure(structure.name()).unwrap().raw(),
            "{}",
            structure.name()
        );
    }
    let top = layout.structure("t").unwrap();
    let references = top
        .elements()
        .iter()
        .filter(|element| matches!(element.kind, ElementKind::Reference { .. }))
        .count();
    assert_eq!(references, design.components.len());
    // The flipped buffer: turned by 180° about its far corner.
    let turned = top.elements().iter().any(|element| matches!(&element.kind, ElementKind::Reference { structure, transform, origin } if structure.ends_with("buf_1") && (transform.angle_degrees - 180.0).abs() < 1e-9 && (origin.x, origin.y) == (920 + 1380, 5440)));
    assert!(turned);
    let label = |wanted: &str| {
        top.elements().iter().any(
            |element| matches!(&element.kind, ElementKind::Text { text, .. } if text == wanted),
        )
    };
    assert!(label("x[0]") && label("VGND"));
}

#[test]
fn parasitics_are_those_of_the_wire() {
    let (finished, _) = finish(ROUTED).unwrap();
    let spef = text(&finished, "spef");
    let net = spef
        .split("*D_NET *3 ")
        .nth(1)
        .unwrap()
        .split("*END")
        .next()
        .unwrap();
    // 8.74 µm of met1 at 0.172 fF/µm and 0.893 Ω/µm, and two contacts of 9.25 Ω.
    assert!(net.starts_with("1.5033\n"), "{net}");
    assert!(
        net.contains(" 7.8048\n") && net.matches(" 9.2500\n").count() == 2,
        "{net}"
    );
    assert!(
        net.contains("*I *4:Y O") && net.contains("*I *5:A I"),
        "{net}"
    );
    assert!(spef.contains("*4 a\\[1\\]\n") && spef.contains("*1 x[0]\n"));
    assert!((finished.metrics["wire_length_um"].value - 8.74).abs() < 1e-9);
    assert_eq!(finished.metrics["vias"].value, 2.0);
}

#[test]
fn netlists_tell_the_circuit() {
    let (finished, _) = finish(ROUTED).unwrap();
    let verilog = text(&finished, "netlist");
    let netlist = nanoflow_netlist::verilog::read(&verilog, "top.v".as_ref(), None).unwrap();
    assert_eq!(netlist.cells.len(), 3, "no fillers");
    assert_eq!(
        (netlist.ports[0].name.as_str(), netlist.ports[0].range),
        ("x", Some((0, 1)))
    );
    let circuit = text(&finished, "cdl");
    assert!(circuit.contains(".SUBCKT t x[0] x[1] VGND\n"), "{circuit}");
    assert!(
        circuit.contains("Xb mid VGND VGND VPWR VPWR open__"),
        "{circuit}"
    );
    assert!(
        !circuit.contains("fill_"),
        "cells without devices and signals are left out"
    );
}

#[test]
fn wiring_is_not_judged_but_cells_must_fit() {
    // A wire is gone: still drawn, and the open net still has its terminals.
    let start = ROUTED.find(" + ROUTED met1 ( 690").unwrap();
    let cut = format!("{} ;\nEND NETS\nEND DESIGN\n", &ROUTED[..start]);
    let (finished, _) = finish(&cut).unwrap();
    assert_eq!(finished.metrics["vias"].value, 0.0);
    assert!(text(&finished, "spef").contains("*I *4:Y O"));
    let error = finish(&ROUTED.replace("PLACED ( 9200 0 )", "PLACED ( 9205 0 )"))
        .err()
        .expect("a fault");
    assert!(error.contains("component 'b' at (9205, 0)"), "{error}");
    let error = finish(&ROUTED.replace("PLACED ( 9200 0 )", "PLACED ( 460 0 )"))
        .err()
        .expect("a fault");
    assert!(error.contains("overlap"), "{error}");
}
