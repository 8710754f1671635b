use super::*;

fn sample() -> Library {
    let mut cell = Structure::new("cell");
    let layer = LayerSpec::new(68, 20);
    cell.rect(
        layer,
        Rect {
            x0: -5,
            y0: 0,
            x1: 460,
            y1: 2720,
        },
    );
    cell.text(LayerSpec::new(68, 5), Point { x: 1, y: 2 }, "odd");
    let points = vec![
        Point { x: 0, y: 0 },
        Point { x: 1000, y: 0 },
        Point { x: 1000, y: 500 },
    ];
    cell.push(ElementKind::Path {
        layer,
        width: 140,
        ends: PathEnds::Extended(10, 70),
        points,
    });
    cell.elements_mut()[0].properties.push((1, "net".into()));
    let mut top = Structure::new("top");
    top.reference("cell", Strans::new(true, 0.0), Point { x: 460, y: 2720 });
    top.push(ElementKind::Array {
        structure: "cell".into(),
        transform: Strans::new(false, 180.0),
        origin: Point { x: 0, y: 0 },
        columns: 3,
        rows: 2,
        column_step: Point { x: 460, y: 0 },
        row_step: Point { x: 0, y: 2720 },
    });
    let mut library = Library::new("lib");
    library.structures = vec![cell, top];
    library
}

#[test]
fn what_is_written_is_read() {
    let library = sample();
    let bytes = library.to_bytes().unwrap();
    let read = Library::parse(&bytes).unwrap();
    assert_eq!(read.name, "lib");
    assert_eq!((read.user_unit, read.meters), (0.001, 1e-9));
    for (a, b) in library.structures.iter().zip(&read.structures) {
        assert_eq!((a.name(), a.elements()), (b.name(), b.elements()));
    }
    assert_eq!(read.to_bytes().unwrap(), bytes);
}

#[test]
fn unchanged_structures_keep_their_bytes() {
    let mut bytes = sample().to_bytes().unwrap();
    // Another tool's date in the first structure: copied, since nobody changed the structure.
    let begin = bytes
        .windows(4)
        .position(|w| w == [0, 28, record::BGNSTR, record::INT2])
        .unwrap();
    bytes[begin + 5] = 99;
    let mut library = Library::parse(&bytes).unwrap();
    assert_eq!(library.to_bytes().unwrap(), bytes);
    library.structures[0].elements_mut();
    assert_ne!(
        library.to_bytes().unwrap(),
        bytes,
        "a changed structure gets the fixed date"
    );
}

#[test]
fn every_cut_of_a_file_is_an_error_with_an_offset() {
    let bytes = sample().to_bytes().unwrap();
    for length in 0..bytes.len() {
        match Library::parse(&bytes[..length]) {
            Err(GdsError::Format { offset, .. }) => assert!(offset <= length),
            other => panic!("{length} bytes: {other:?}"),
        }
    }
}

#[test]
fn nonsense_is_told() {
    let mut bytes = sample().to_bytes().unwrap();
    bytes[2] = 0x77;
    let message = Library::parse(&bytes).unwrap_err().to_string();
    assert_eq!(message, "GDSII byte 0: expected HEADER, found record 0x77");
    let mut library = Library::new("x");
    library.structures.push(Structure::new("s"));
    library.structures[0].push(ElementKind::Boundary {
        layer: LayerSpec::new(1, 1),
        points: vec![],
    });
    assert!(library
        .to_bytes()
        .unwrap_err()
        .to_string()
        .contains("structure 's'"));
}

#[test]
fn reals_follow_the_format() {
    // The values of every file with 1 nm units, as the manual's format gives them.
    assert_eq!(record::encode_real(1e-9), Some(0x3944_b82f_a09b_5a54));
    assert_eq!(record::encode_real(0.001), Some(0x3e41_8937_4bc6_a7f0));
    assert_eq!(record::encode_real(1.0), Some(0x4110_0000_0000_0000));
    for value in [-2.5, 90.0, 270.0, 1e-6, 123_456.789] {
        let back = record::decode_real(record::encode_real(value).unwrap());
        assert!((back - value).abs() <= value.abs() * 1e-15, "{value}");
    }
}

#[test]
fn polygons_and_paths_become_rectangles() {
    let p = |x, y| Point { x, y };
    let l_shape = [p(0, 0), p(30, 0), p(30, 10), p(10, 10), p(10, 40), p(0, 40)];
    let rects = polygon_rects(&l_shape).unwrap();
    assert_eq!(
        rects,
        [
            Rect {
                x0: 0,
                y0: 0,
                x1: 30,
                y1: 10
            },
            Rect {
                x0: 0,
                y0: 10,
                x1: 10,
                y1: 40
            }
        ]
    );
    assert_eq!(polygon_rects(&[p(0, 0), p(10, 10), p(0, 10)]), None);
    let u_shape = [
        p(0, 0),
        p(30, 0),
        p(30, 20),
        p(20, 20),
        p(20, 10),
        p(10, 10),
        p(10, 20),
        p(0, 20),
    ];
    assert_eq!(
        polygon_rects(&u_shape)
            .unwrap()
            .iter()
            .map(Rect::area)
            .sum::<i64>(),
        500
    );
    let bend = path_rects(14, PathEnds::Flush, &[p(0, 0), p(100, 0), p(100, 50)]).unwrap();
    assert_eq!(
        bend,
        [
            Rect {
                x0: 0,
                y0: -7,
                x1: 107,
                y1: 7
            },
            Rect {
                x0: 93,
                y0: -7,
                x1: 107,
                y1: 50
            }
        ]
    );
}
