use super::*;

fn small() -> Design {
    let placement = Placement {
        at: Point::new(5520, 5440),
        orient: Orient::FS,
        fixed: false,
    };
    Design {
        name: "top".into(),
        die: Rect::new(0, 0, 20_240, 21_760),
        rows: vec![Row {
            name: "ROW_0".into(),
            site: "unithd".into(),
            origin: Point::new(5520, 5440),
            orient: Orient::N,
            count: 20,
            step: 460,
        }],
        tracks: vec![Tracks {
            vertical: true,
            start: 230,
            count: 44,
            step: 460,
            layer: "met2".into(),
        }],
        vias: vec![Via {
            name: "array".into(),
            shapes: vec![
                ("met1".into(), Rect::new(-100, -100, 100, 100)),
                ("via".into(), Rect::new(-75, -75, 75, 75)),
                ("met2".into(), Rect::new(-100, -100, 100, 100)),
            ],
        }],
        rules: vec![WidthRule {
            name: "wide".into(),
            layers: vec![("met3".into(), 330)],
        }],
        components: vec![
            Component {
                name: "a[3].x\\;+".into(),
                cell: "inv".into(),
                placement: Some(placement),
                source: Some("TIMING".into()),
                properties: vec![("why".into(), "a; b".into())],
            },
            Component {
                name: "PIN".into(),
                cell: "inv".into(),
                placement: None,
                source: None,
                properties: vec![],
            },
        ],
        pins: vec![
            Pin {
                name: "d[0]".into(),
                net: "d[0]".into(),
                direction: PinDirection::Input,
                use_: Use::Signal,
                special: false,
                ports: vec![PinPort {
                    shapes: vec![("met3".into(), Rect::new(-400, -150, 400, 150))],
                    placement: Some(Placement {
                        at: Point::new(0, 3400),
                        orient: Orient::N,
                        fixed: true,
                    }),
                }],
            },
            Pin {
                name: "VPWR".into(),
                net: "VPWR".into(),
                direction: PinDirection::Inout,
                use_: Use::Power,
                special: true,
                ports: vec![
                    PinPort {
                        shapes: vec![("met5".into(), Rect::new(-800, -800, 800, 800))],
                        placement: Some(placement),
                    },
                    PinPort {
                        shapes: vec![("met5".into(), Rect::new(-900, -800, 800, 800))],
                        placement: Some(placement),
                    },
                ],
            },
        ],
        special_nets: vec![SpecialNet {
            name: "VPWR".into(),
            use_: Use::Power,
            connections: vec![("*".into(), "VPWR".into()), ("PIN".into(), "VPWR".into())],
            wires: vec![
                SpecialWire {
                    layer: "met1".into(),
                    width: 480,
                    shape: Some("FOLLOWPIN".into()),
                    items: vec![WireItem::point(0, 0), WireItem::point(1000, 0)],
                },
                SpecialWire {
                    layer: "met1".into(),
                    width: 0,
                    shape: Some("STRIPE".into()),
                    items: vec![WireItem::point(5, 5), WireItem::via("array")],
                },
            ],
        }],
        nets: vec![
            Net {
                name: "d[0]".into(),
                use_: Use::Scan,
                terminals: vec![
                    Terminal::Port(0),
                    Terminal::Pin {
                        component: 1,
                        pin: "A".into(),
                    },
                    Terminal::Pin {
                        component: 0,
                        pin: "A".into(),
                    },
                ],
                wires: vec![
                    Wire {
                        layer: "met1".into(),
                        rule: Some("wide".into()),
                        items: vec![
                            WireItem::point(230, 170),
                            WireItem::Point {
                                at: Point::new(690, 170),
                                extension: Some(0),
                            },
                            WireItem::Via {
                                name: "array".into(),
                                orient: Orient::FN,
                            },
                            WireItem::Patch(Rect::new(-10, -20, 30, 40)),
                        ],
                    },
                    Wire {
                        layer: "met2".into(),
                        rule: None,
                        items: vec![WireItem::point(1, 2), WireItem::via("array")],
                    },
                ],
                properties: vec![],
            },
            Net {
                name: "*".into(),
                ..Net::default()
            },
        ],
    }
}

#[test]
fn what_is_written_is_read_back() {
    let design = small();
    let text = design.to_text();
    let again = Design::parse("small.def", &text).unwrap();
    assert_eq!(design, again);
    assert_eq!(again.to_text(), text);
}

#[test]
fn other_writers_forms_are_read() {
    let text = "VERSION 5.8 ;\nDESIGN x ;\nUNITS DISTANCE MICRONS 1000 ;\nDIEAREA ( 0 0 ) ( 10 * ) ( * 20 ) ;\n\
        VIAS 1 ;\n- v + VIARULE M1M2_PR + CUTSIZE 150 150 + LAYERS met1 via met2 + CUTSPACING 170 170 + ENCLOSURE 85 165 55 85 + ROWCOL 1 5 ;\nEND VIAS\n\
        BLOCKAGES 1 ;\n- PLACEMENT RECT ( 0 0 ) ( 1 1 ) ;\nEND BLOCKAGES\n\
        COMPONENTS 1 ;\n- u\\[1\\] inv + WEIGHT 1 + PLACED ( 1 2 ) N ;\nEND COMPONENTS\n\
        SPECIALNETS 1 ;\n- VGND ( * VGND ) + USE GROUND + ROUTED met4 1600 + SHAPE STRIPE ( 5 0 ) ( * 100 )\n NEW met1 0 + SHAPE STRIPE ( 1 2 ) v DO 2 BY 1 STEP 10 0 ;\nEND SPECIALNETS\n\
        NETS 1 ;\n- n ( u\\[1\\] A + SYNTHESIZED ) + ROUTED met1 TAPER ( 0 0 ) ( 10 * ) v NEW met2 ( 10 0 ) ( * 5 20 ) + SOURCE TIMING ;\nEND NETS\nEND DESIGN\n";
    let design = Design::parse("other.def", text).unwrap();
    assert_eq!(design.die, Rect::new(0, 0, 10, 20));
    assert_eq!(design.vias[0].shapes.len(), 7);
    assert_eq!(design.vias[0].shapes[0].1, Rect::new(-800, -240, 800, 240));
    assert_eq!(design.components[0].name, "u[1]");
    assert_eq!(
        design.special_nets[0].wires[0].items[1],
        WireItem::point(5, 100)
    );
    assert_eq!(design.special_nets[0].wires[1].items.len(), 5);
    assert_eq!(design.nets[0].wires.len(), 2);
    assert_eq!(
        design.nets[0].wires[1].items[1],
        WireItem::Point {
            at: Point::new(10, 5),
            extension: Some(20)
        }
    );
}

#[test]
fn faults_name_file_and_line() {
    let error = Design::parse(
        "bad.def",
        "DESIGN x ;\nNETS 1 ;\n- n ( nowhere A ) ;\nEND NETS\nEND DESIGN\n",
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "bad.def:3: net 'n': the design has no component 'nowhere'"
    );
    let text = small().to_text();
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        // Only what lacks nothing but white space after END DESIGN may pass.
        assert!(Design::parse("cut.def", &text[..end]).is_err() || end + 1 >= text.len());
    }
}
