//! Die, rows, tracks and tap cells.

use nanoflow_layout::def::{Component, Design, Placement, Row, Tracks};
use nanoflow_layout::lef::Tech;
use nanoflow_layout::tech::{TAP_PITCH, TAP_REACH};
use nanoflow_layout::{Dbu, LayoutError, Orient, Point, Rect};

/// The lattice on which the router works: half the pitch of met2 by the pitch of met1. Each metal's tracks
/// lie on it, so that every via falls on a node: met1 on all rows, met2 on all columns of 0.46 µm, met3 on every second
/// row, met4 on every fourth column.
const TRACKS: [(&str, bool, Dbu, Dbu); 6] = [
    ("li1", true, 230, 460),
    ("met1", false, 170, 340),
    ("met2", true, 230, 460),
    ("met3", false, 170, 680),
    ("met4", true, 230, 920),
    ("met5", false, 1700, 3400),
];

/// Where the rows are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Core {
    pub die: Rect,
    /// The area of the rows.
    pub area: Rect,
    pub rows: i32,
    pub columns: i32,
    pub site_width: Dbu,
    pub row_height: Dbu,
}

/// What decides the size of the core.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Area of the netlist's cells, nm².
    pub cell_area: f64,
    /// Part of the core that those cells shall fill.
    pub utilization: f64,
    /// Height by width.
    pub aspect_ratio: f64,
    /// Ports to be placed at the edges.
    pub ports: usize,
}

/// Below this neither two met5 straps nor two met4 straps fit.
const LEAST_ROWS: i32 = 4;
const LEAST_COLUMNS: i32 = 30;

impl Core {
    /// A core for the cells, its margin filled with nothing: twelve sites left and right, two rows above and below.
    ///
    /// # Errors
    /// When the technology has no site `unithd`.
    pub fn sized(tech: &Tech, wanted: Wanted) -> Result<Self, LayoutError> {
        let site = tech.site("unithd").ok_or_else(|| {
            LayoutError::Missing("the technology LEF has no site 'unithd'".into())
        })?;
        let (site_width, row_height) = (site.width, site.height);
        // A tap column takes one site out of every pitch.
        let taps = 1.0 + f64::from(site_width) / f64::from(2 * TAP_PITCH) * 1.3;
        let area = wanted.cell_area / wanted.utilization * taps;
        let height = (area * wanted.aspect_ratio).sqrt();
        let mut rows = (height / f64::from(row_height)).round() as i32;
        // An even number of rows ends with the same supply at bottom and top.
        rows = (rows + rows % 2).max(LEAST_ROWS);
        let width = area / f64::from(rows * row_height);
        let mut columns = (width / f64::from(site_width)).ceil() as i32;
        columns = (columns + columns % 2).max(LEAST_COLUMNS);
        let mut core = Self::at(columns, rows, site_width, row_height);
        while core.port_slots() < wanted.ports {
            columns += 10;
            rows += 2;
            core = Self::at(columns, rows, site_width, row_height);
        }
        Ok(core)
    }

    fn at(columns: i32, rows: i32, site_width: Dbu, row_height: Dbu) -> Self {
        let (margin_x, margin_y) = (12 * site_width, 2 * row_height);
        let area = Rect::new(
            margin_x,
            margin_y,
            margin_x + columns * site_width,
            margin_y + rows * row_height,
        );
        let die = Rect::new(0, 0, area.x1 + margin_x, area.y1 + margin_y);
        Self {
            die,
            area,
            rows,
            columns,
            site_width,
            row_height,
        }
    }

    fn port_slots(&self) -> usize {
        nanoflow_layout::ports::slots(self.die).len()
    }

    #[must_use]
    pub fn orient(row: i32) -> Orient {
        if row % 2 == 0 {
            Orient::N
        } else {
            Orient::FS
        }
    }

    /// Lower left corner of a site.
    #[must_use]
    pub fn site(&self, row: i32, column: i32) -> Point {
        Point::new(
            self.area.x0 + column * self.site_width,
            self.area.y0 + row * self.row_height,
        )
    }

    /// Writes die, rows and tracks into the design.
    pub fn draw(&self, design: &mut Design) {
        design.die = self.die;
        design.rows = (0..self.rows)
            .map(|row| Row {
                name: format!("ROW_{row}"),
                site: "unithd".into(),
                origin: self.site(row, 0),
                orient: Self::orient(row),
                count: self.columns,
                step: self.site_width,
            })
            .collect();
        design.tracks = TRACKS
            .iter()
            .map(|&(layer, vertical, start, step)| {
                let end = if vertical { self.die.x1 } else { self.die.y1 };
                let count = if end > start {
                    (end - start - 1) / step + 1
                } else {
                    0
                };
                Tracks {
                    vertical,
                    start,
                    count,
                    step,
                    layer: layer.into(),
                }
            })
            .filter(|tracks| tracks.count > 0)
            .collect();
    }

    /// Tap cells in every row, staggered by half their pitch, so that no diffusion is farther than
    /// [`TAP_REACH`] from one in its own row.
    #[must_use]
    pub fn taps(&self) -> Vec<Component> {
        let pitch = 2 * TAP_PITCH / self.site_width;
        let reach = (TAP_REACH - 1000) / self.site_width;
        let mut taps = Vec::new();
        for row in 0..self.rows {
            let mut columns: Vec<i32> = (0..)
                .map(|index| index * pitch + if row % 2 == 0 { 0 } else { pitch / 2 })
                .take_while(|column| *column < self.columns)
                .collect();
            // The end of the row must be in reach too, and a short row needs one tap at all.
            if columns
                .last()
                .is_none_or(|last| self.columns - last > reach)
            {
                columns.push(self.columns - 1);
            }
            for column in columns {
                taps.push(Component {
                    name: format!("TAP_{}", taps.len()),
                    cell: "sky130_fd_sc_hd__tapvpwrvgnd_1".into(),
                    placement: Some(Placement {
                        at: self.site(row, column),
                        orient: Self::orient(row),
                        fixed: true,
                    }),
                    source: Some("DIST".into()),
                    properties: Vec::new(),
                });
            }
        }
        taps
    }
}
