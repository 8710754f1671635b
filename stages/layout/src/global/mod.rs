//! Global routing: which squares of the die the wires of each net go through.
//!
//! The die is cut into squares; from each to its right and upper neighbour only so many wires may cross ([`Grid`]).
//! [`GlobalRouter`] first joins the terminals of each net by bent lines of least cost, as pattern routers do (Kastner, Bozorgzadeh
//! and Sarrafzadeh, "Pattern Routing", TCAD 2002), then takes the nets away that cross where too many do and searches new ways for them, while such
//! places become dearer (McMurchie and Ebeling, PathFinder, FPGA 1995; Pan and Chu, FastRoute, ICCAD 2006).
//! Everything runs in one order on one thread, so the result depends on grid and nets alone.

mod grid;
mod maze;
mod pattern;
mod router;

pub use grid::{Edge, Grid, Square, Way};
pub use router::{GlobalRouter, HotSpot, Schedule, Tree};
