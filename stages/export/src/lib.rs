//! Stage 'export' of the shipped flow
