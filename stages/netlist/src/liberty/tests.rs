use std::path::Path;

use super::read;

const SMALL: &str = r#"
library ("small") {
  time_unit : "1ns";
  capacitive_load_unit (1.0, "pf");
  lu_table_template (t) { variable_1 : input_net_transition; index_1 ("1, 2"); index_2 ("1, 2, 3"); }
  cell (nand2_1) {
    area : 3.75;
    pin (A) { direction : input; capacitance : 0.0017; }
    pin (B) { direction : "input"; capacitance : 0.0018; }
    pin (Y) {
      direction : output; function : "!(A*B)"; max_capacitance : 0.1;
      timing () {
        related_pin : "A"; timing_sense : negative_unate;
        cell_rise (t) { index_1 ("0.01, 0.1"); index_2 ("0.001, 0.01, 0.1");
          values ("0.1, 0.2, 1.1", \
                  "0.2, 0.3, 1.2"); }
      }
    }
  }
  cell (sdfxtp_1) {
    area : 26.3;
    ff ("IQ","IQ_N") { clocked_on : "CLK"; next_state : "(D*!SCE) + (SCD*SCE)"; }
    pin (Q) { direction : output; function : "IQ"; }
    pin (CLK) { direction : input; clock : true; }
    test_cell () {
      ff (IQ, IQ_N) { clocked_on : "CLK"; next_state : "D"; }
      pin (SCD) { direction : input; signal_type : test_scan_in; }
      pin (SCE) { direction : input; signal_type : "test_scan_enable"; }
    }
  }
}
"#;

#[test]
fn cells_pins_tables_and_flip_flops_are_read() {
    let library = read(SMALL, Path::new("s.lib")).expect("a library");
    let nand = library.cell("nand2_1").expect("nand2_1");
    assert!((nand.area - 3.75).abs() < 1e-12);
    assert_eq!(nand.inputs().count(), 2);
    let output = nand.pin("Y").expect("Y");
    assert_eq!(
        output.function.as_ref().expect("a function").pins(),
        ["A", "B"]
    );
    let table = &output.timing[0].tables["cell_rise"];
    // On a point, between points, and beyond the table.
    assert!((table.at(0.1, 0.01) - 0.3).abs() < 1e-12);
    assert!((table.at(0.055, 0.0055) - 0.2).abs() < 1e-12);
    assert!((table.at(0.01, 0.2) - 2.1).abs() < 1e-9);
    let scan = library.cell("sdfxtp_1").expect("sdfxtp_1");
    assert_eq!(scan.flip_flop.as_ref().expect("ff").state, "IQ");
    let test = scan.test_cell.as_ref().expect("test_cell");
    assert_eq!(test.signal_types["SCD"], "test_scan_in");
    assert!(library
        .cell("nor2_1")
        .expect_err("no such cell")
        .to_string()
        .contains("nor2_1"));
}

#[test]
fn faults_name_the_line() {
    for (text, words) in [
        ("library (a) {\n  cell (b) {\n", "a '}' is missing"),
        ("cell (a) { }", "starts with 'library'"),
        ("library (a) {\n  cell (b) {\n    pin (Y) { function : \"A &\"; } } }", "s.lib:3: function"),
        ("library (a) {\n  x : \"open\n}", "s.lib:2: a '\"' that opens here"),
        ("library (a) {\n\n  ; }", "s.lib:3: a name was expected"),
        (
            "library (a) { cell (b) { pin (Y) { timing () { cell_rise (s) {\n index_1 (\"1, 2\"); values (\"1\"); } } } } }",
            "a table of 2 × 1 has 1 values",
        ),
    ] {
        let error = read(text, Path::new("s.lib")).expect_err(text).to_string();
        assert!(error.contains(words), "{text:?} gave {error:?}");
    }
}

/// The published library, where it is at hand: every cell of it is read.
#[test]
fn the_published_library_is_read() {
    let Ok(text) = std::env::var("NANOFLOW_TEST_LIBERTY")
        .map(|path| std::fs::read_to_string(path).expect("the file it names"))
    else {
        eprintln!("skipped: NANOFLOW_TEST_LIBERTY names no Liberty file");
        return;
    };
    let library = read(&text, Path::new("published.lib")).expect("a library");
    assert!(library.cells.len() > 400, "{} cells", library.cells.len());
    assert!(
        library
            .cells
            .values()
            .filter(|cell| cell.flip_flop.is_some())
            .count()
            > 40
    );
}
