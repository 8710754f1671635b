//! LEF, DEF, GDS, technology and geometry
