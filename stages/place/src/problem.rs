//! The design as the placer sees it: movable cells, nets, fixed pins, and the rows.

use std::collections::BTreeMap;

use nanoflow_layout::def::{Design, Terminal, Use};
use nanoflow_layout::lef::Tech;
use nanoflow_layout::{Dbu, LayoutError, Orient, Point, Rect};

/// One connection of a net.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinRef {
    /// Index into [`Problem::cells`], or `None` for a fixed point of the die.
    pub cell: Option<u32>,
    /// From the lower left corner of the cell in orientation N, or the point itself.
    pub offset: Point,
}

/// A movable cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Index into [`Design::components`].
    pub component: usize,
    pub width: Dbu,
    /// Signal pins that wires must reach.
    pub pins: u32,
}

/// A stretch of a row without fixed cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub row: usize,
    pub x0: Dbu,
    pub x1: Dbu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceRow {
    pub y: Dbu,
    pub x0: Dbu,
    pub x1: Dbu,
    pub orient: Orient,
}

#[derive(Debug, Clone, Default)]
pub struct Problem {
    pub cells: Vec<Cell>,
    /// Pins of net `i` are `pins[net_start[i]..net_start[i + 1]]`.
    pub net_start: Vec<usize>,
    pub pins: Vec<PinRef>,
    /// Weight in global placement; 0 for the clock, which gets a tree later.
    pub net_weight: Vec<f64>,
    /// Index into [`Design::nets`].
    pub net_of: Vec<usize>,
    /// Nets of cell `i` are `cell_nets[cell_start[i]..cell_start[i + 1]]`, each once.
    pub cell_start: Vec<usize>,
    pub cell_nets: Vec<u32>,
    pub rows: Vec<PlaceRow>,
    pub segments: Vec<Segment>,
    pub site_width: Dbu,
    pub row_height: Dbu,
    /// Around all rows.
    pub core: Rect,
}

impl Problem {
    /// Builds the problem. Cells that are fixed in the design are obstacles, all other cells are movable. Pins for which
    /// `skip(component, pin)` holds do not count, nor do ports where `ports` is false.
    ///
    /// # Errors
    /// When a cell or pin is unknown to the LEF files, or there are no rows.
    pub fn new(
        design: &Design,
        tech: &Tech,
        skip: &dyn Fn(usize, &str) -> bool,
        ports: bool,
    ) -> Result<Self, LayoutError> {
        let mut problem = Problem::default();
        problem.read_rows(design)?;
        let movable = problem.read_cells(design, tech)?;
        problem.read_nets(design, tech, &movable, skip, ports)?;
        problem.index_cells();
        Ok(problem)
    }

    fn read_rows(&mut self, design: &Design) -> Result<(), LayoutError> {
        let first = design.rows.first().ok_or_else(|| {
            LayoutError::Missing(format!(
                "design '{}' has no rows: run floorplan first",
                design.name
            ))
        })?;
        self.site_width = first.step;
        let mut rows: Vec<PlaceRow> = design
            .rows
            .iter()
            .map(|row| PlaceRow {
                y: row.origin.y,
                x0: row.origin.x,
                x1: row.origin.x + row.count * row.step,
                orient: row.orient,
            })
            .collect();
        rows.sort_by_key(|row| (row.y, row.x0));
        self.row_height = rows
            .windows(2)
            .map(|pair| pair[1].y - pair[0].y)
            .filter(|step| *step > 0)
            .min()
            .unwrap_or(2720);
        let bounds = |row: &PlaceRow| Rect::new(row.x0, row.y, row.x1, row.y + self.row_height);
        self.core = rows
            .iter()
            .skip(1)
            .fold(bounds(&rows[0]), |all, row| all.union(&bounds(row)));
        self.rows = rows;
        Ok(())
    }

    fn read_cells(
        &mut self,
        design: &Design,
        tech: &Tech,
    ) -> Result<Vec<Option<u32>>, LayoutError> {
        let mut movable = vec![None; design.components.len()];
        let mut blocked: Vec<Vec<(Dbu, Dbu)>> = vec![Vec::new(); self.rows.len()];
        for (index, component) in design.components.iter().enumerate() {
            let cell = tech.cell(&component.cell)?;
            match component.placement {
                Some(placement) if placement.fixed => {
                    for (row, blocked) in self.rows.iter().zip(&mut blocked) {
                        if placement.at.y < row.y + self.row_height
                            && row.y < placement.at.y + cell.height
                        {
                            blocked.push((placement.at.x, placement.at.x + cell.width));
                        }
                    }
                }
                _ => {
                    if cell.height != self.row_height {
                        return Err(LayoutError::Missing(format!(
                            "component '{}': cell '{}' is not as high as a row, which the placer cannot do",
                            component.name, component.cell
                        )));
                    }
                    movable[index] = Some(self.cells.len() as u32);
                    let pins = cell.pins.iter().filter(|pin| !pin.is_supply()).count() as u32;
                    self.cells.push(Cell {
                        component: index,
                        width: cell.width,
                        pins,
                    });
                }
            }
        }
        for (row, mut blocked) in blocked.into_iter().enumerate() {
            blocked.sort_unstable();
            let PlaceRow { x0, x1, .. } = self.rows[row];
            let mut from = x0;
            for (low, high) in blocked {
                if low > from {
                    self.segments.push(Segment {
                        row,
                        x0: from,
                        x1: low.min(x1),
                    });
                }
                from = from.max(high);
            }
            if from < x1 {
                self.segments.push(Segment { row, x0: from, x1 });
            }
        }
        Ok(movable)
    }

    fn read_nets(
        &mut self,
        design: &Design,
        tech: &Tech,
        movable: &[Option<u32>],
        skip: &dyn Fn(usize, &str) -> bool,
        ports: bool,
    ) -> Result<(), LayoutError> {
        let mut offsets: BTreeMap<(&str, &str), Point> = BTreeMap::new();
        self.net_start.push(0);
        for (index, net) in design.nets.iter().enumerate() {
            let begin = self.pins.len();
            for terminal in &net.terminals {
                match terminal {
                    Terminal::Port(pin) => {
                        if let Some(at) = design
                            .pins
                            .get(*pin)
                            .and_then(|pin| pin.location())
                            .filter(|_| ports)
                        {
                            self.pins.push(PinRef {
                                cell: None,
                                offset: at,
                            });
                        }
                    }
                    Terminal::Pin { component, pin } if skip(*component, pin) => {}
                    Terminal::Pin { component, pin } => {
                        let part = &design.components[*component];
                        let key = (part.cell.as_str(), pin.as_str());
                        let offset = match offsets.get(&key) {
                            Some(offset) => *offset,
                            None => {
                                let offset = pin_center(tech, &part.cell, pin)?;
                                offsets.insert(key, offset);
                                offset
                            }
                        };
                        match (movable[*component], part.placement) {
                            (Some(cell), _) => self.pins.push(PinRef {
                                cell: Some(cell),
                                offset,
                            }),
                            (None, Some(placement)) => self.pins.push(PinRef {
                                cell: None,
                                offset: Point::new(
                                    placement.at.x + offset.x,
                                    placement.at.y + offset.y,
                                ),
                            }),
                            (None, None) => {}
                        }
                    }
                }
            }
            if self.pins.len() - begin < 2 {
                self.pins.truncate(begin);
                continue;
            }
            self.net_start.push(self.pins.len());
            self.net_weight
                .push(if net.use_ == Use::Clock { 0.0 } else { 1.0 });
            self.net_of.push(index);
        }
        Ok(())
    }

    fn index_cells(&mut self) {
        let mut lists: Vec<Vec<u32>> = vec![Vec::new(); self.cells.len()];
        for net in 0..self.nets() {
            for pin in self.net(net) {
                if let Some(cell) = pin.cell {
                    let list = &mut lists[cell as usize];
                    if list.last() != Some(&(net as u32)) {
                        list.push(net as u32);
                    }
                }
            }
        }
        self.cell_start = vec![0];
        for list in lists {
            self.cell_nets.extend(list);
            self.cell_start.push(self.cell_nets.len());
        }
    }

    #[must_use]
    pub fn nets(&self) -> usize {
        self.net_weight.len()
    }
    #[must_use]
    pub fn net(&self, net: usize) -> &[PinRef] {
        &self.pins[self.net_start[net]..self.net_start[net + 1]]
    }
    #[must_use]
    pub fn nets_of(&self, cell: usize) -> &[u32] {
        &self.cell_nets[self.cell_start[cell]..self.cell_start[cell + 1]]
    }
    /// nm² that movable cells take.
    #[must_use]
    pub fn cell_area(&self) -> f64 {
        self.cells
            .iter()
            .map(|cell| f64::from(cell.width) * f64::from(self.row_height))
            .sum()
    }
    /// nm² that rows have free of fixed cells.
    #[must_use]
    pub fn free_area(&self) -> f64 {
        self.segments
            .iter()
            .map(|segment| f64::from(segment.x1 - segment.x0) * f64::from(self.row_height))
            .sum()
    }
}

/// Middle of a pin in a cell of orientation N.
///
/// # Errors
/// When the cell or the pin is unknown or has no shape.
pub fn pin_center(tech: &Tech, cell: &str, pin: &str) -> Result<Point, LayoutError> {
    tech.cell(cell)?
        .pin(pin)
        .and_then(nanoflow_layout::lef::Pin::center)
        .ok_or_else(|| {
            LayoutError::Missing(format!(
                "cell '{cell}' has no pin '{pin}' with a shape in the LEF files"
            ))
        })
}
