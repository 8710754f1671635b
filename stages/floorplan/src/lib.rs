//! Stage 'floorplan' of the shipped flow
