//! The data of a layout: geometry, LEF (technology and cells), DEF (the design), GDS, and the rules of sky130
//! that the technology LEF lacks. The five layout stages hand each other DEF files and share these types.
//!
//! Lengths are database units of 1 nm ([`Dbu`]) throughout, areas are nm² in `i64`.

pub mod def;
pub mod electrical;
mod error;
pub mod gds;
pub mod geom;
pub mod global;
pub mod lef;
pub mod ports;
pub mod shapes;
pub mod sites;
pub mod tech;
pub mod testing;
mod words;

pub use error::LayoutError;
pub use geom::{Dbu, Orient, Point, Rect, Transform};
