//! The GDS: the library's cells as they are, and one structure with their places, the wires and the pins.

use std::collections::BTreeSet;
use std::path::Path;

use nanoflow_layout::def::{Design, PinPort};
use nanoflow_layout::gds::{ElementKind, LayerSpec, Library, Strans, Structure};
use nanoflow_layout::lef::Tech;
use nanoflow_layout::shapes::{net_shapes, special_net_shapes, Shape};
use nanoflow_layout::tech::{gds_layer, metal, DRAWING, LABEL, OUTLINE_GDS, PIN};
use nanoflow_layout::{LayoutError, Orient, Transform};
use nanoflow_sdk::StageError;

/// Builds the library of the design. Cells are copied from `cells` byte for byte.
///
/// # Errors
/// When a cell is not in the library, or wiring names what does not exist.
pub fn stream(design: &Design, tech: &Tech, cells: Library) -> Result<Library, StageError> {
    let layout = |error: LayoutError| StageError::input(error.to_string());
    let mut top = Structure::new(&design.name);
    for component in &design.components {
        let Some(placement) = component.placement else {
            continue;
        };
        let cell = tech.cell(&component.cell).map_err(layout)?;
        let transform = Transform::placed(placement.at, placement.orient, cell.width, cell.height);
        top.reference(&component.cell, strans(placement.orient), transform.offset);
    }
    for net in &design.special_nets {
        draw(
            &mut top,
            &special_net_shapes(design, tech, net).map_err(layout)?,
        )?;
    }
    for net in &design.nets {
        draw(&mut top, &net_shapes(design, tech, net).map_err(layout)?)?;
    }
    for pin in &design.pins {
        for port in &pin.ports {
            draw_pin(&mut top, &pin.name, port)?;
        }
    }
    top.rect(LayerSpec::new(OUTLINE_GDS.0, OUTLINE_GDS.1), design.die);
    let mut library = Library {
        name: design.name.clone(),
        structures: Vec::new(),
        ..cells.clone()
    };
    let wanted = needed(design, &cells)?;
    library.structures.extend(
        cells
            .structures
            .into_iter()
            .filter(|structure| wanted.contains(structure.name())),
    );
    library.structures.push(top);
    Ok(library)
}

/// GDS turns counter-clockwise after mirroring at the x axis.
fn strans(orient: Orient) -> Strans {
    let (mirror, angle) = match orient {
        Orient::N => (false, 0.0),
        Orient::W => (false, 90.0),
        Orient::S => (false, 180.0),
        Orient::E => (false, 270.0),
        Orient::FS => (true, 0.0),
        Orient::FW => (true, 90.0),
        Orient::FN => (true, 180.0),
        Orient::FE => (true, 270.0),
    };
    Strans::new(mirror, angle)
}

fn draw(top: &mut Structure, shapes: &[Shape]) -> Result<(), StageError> {
    for shape in shapes {
        let (layer, datatype) = gds_layer(shape.layer).ok_or_else(|| {
            StageError::input(format!("layer '{}' has no GDS number", shape.layer))
        })?;
        top.rect(LayerSpec::new(layer, datatype), shape.rect);
    }
    Ok(())
}

fn draw_pin(top: &mut Structure, name: &str, port: &PinPort) -> Result<(), StageError> {
    for (layer, rect) in port.placed_shapes() {
        let metal = metal(layer).ok_or_else(|| {
            StageError::input(format!("pin '{name}': layer '{layer}' is no metal"))
        })?;
        top.rect(LayerSpec::new(metal.gds, DRAWING), rect);
        top.rect(LayerSpec::new(metal.gds, PIN), rect);
        top.text(LayerSpec::new(metal.gds, LABEL), rect.center(), name);
    }
    Ok(())
}

/// Names of the structures that the design uses, directly or through others.
fn needed(design: &Design, cells: &Library) -> Result<BTreeSet<String>, StageError> {
    let by_name: std::collections::BTreeMap<&str, &Structure> = cells
        .structures
        .iter()
        .map(|structure| (structure.name(), structure))
        .collect();
    let mut wanted = BTreeSet::new();
    let mut todo: Vec<String> = design
        .components
        .iter()
        .map(|component| component.cell.clone())
        .collect();
    while let Some(name) = todo.pop() {
        if wanted.contains(&name) {
            continue;
        }
        let structure = by_name
            .get(name.as_str())
            .ok_or_else(|| StageError::input(format!("the PDK's GDS has no cell '{name}'")))?;
        for element in structure.elements() {
            match &element.kind {
                ElementKind::Reference { structure, .. } | ElementKind::Array { structure, .. } => {
                    todo.push(structure.clone());
                }
                _ => {}
            }
        }
        wanted.insert(name);
    }
    Ok(wanted)
}

/// Reads the cells' GDS of a PDK folder.
///
/// # Errors
/// When the file is missing or damaged.
pub fn load_cells(pdk: &Path) -> Result<Library, StageError> {
    Library::read(pdk.join("sky130_fd_sc_hd.gds"))
        .map_err(|error| StageError::input(error.to_string()))
}
